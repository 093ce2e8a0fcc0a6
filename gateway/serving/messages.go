package serving

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// rpcBytes is what a stream of gRPC takes in memory before its first message is there.
	rpcBytes = 12 << 10
	// mostAtOnce: for less than patience, messages may take so many times what they may for longer.
	mostAtOnce = 2
)

// BoundMessages has a server of gRPC hold at most so many bytes of memory for streams on which no message
// has come yet, and for messages that have not come in whole: gRPC takes 4 MB for each, and so knows
// nobody's whose they are. What would be beyond ends the connection that has held most for longest. For
// less than a second it may be twice as much. The listener speaks plain text: TLS is below it.
func BoundMessages(l net.Listener, most int64) net.Listener {
	return &messageListener{Listener: l, messages: &messages{most: most, conns: make(map[*messageConn]struct{})}}
}

type messageListener struct {
	net.Listener
	messages *messages
}

// Accept implements net.Listener.
func (l *messageListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // as the listener says it
	}
	c := &messageConn{Conn: conn, messages: l.messages, streams: make(map[uint32]*incoming), in: frames{skip: len(preface)}}
	l.messages.mu.Lock()
	defer l.messages.mu.Unlock()
	l.messages.conns[c] = struct{}{}
	return c, nil
}

// messages counts what has not come in whole.
//
// Invariant: used is the sum of what the streams of conns take.
type messages struct {
	most int64
	used atomic.Int64

	mu     sync.Mutex // before that of a connection
	conns  map[*messageConn]struct{}
	looked time.Time // when no connection was found to close
}

// incoming is a stream, as far as its client sends something.
type incoming struct {
	began  time.Time // of what it takes
	takes  int64
	prefix [5]byte // of a message: a flag, and its length
	have   int     // bytes of it
	left   int64   // bytes of the message that are still to come
}

// messageConn is a connection of gRPC of which is known what has not come in whole.
type messageConn struct {
	net.Conn
	messages *messages

	mu      sync.Mutex
	streams map[uint32]*incoming
	last    uint32 // the highest number of a stream
	takes   int64
	closed  bool

	in  frames // of the one goroutine that reads
	out frames // of the one that writes
}

// Read implements net.Conn.
func (c *messageConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	before := c.takes
	c.in.come(p[:n], c.began, c.came)
	more := c.takes - before
	c.mu.Unlock()
	if c.messages.used.Add(more) > c.messages.most && more > 0 {
		c.messages.shrink()
	}
	return n, err //nolint:wrapcheck // as the connection says it
}

// Write implements net.Conn.
func (c *messageConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	before := c.takes
	c.out.come(p, c.answered, func([]byte) {})
	less := c.takes - before
	c.mu.Unlock()
	c.messages.used.Add(less)
	return c.Conn.Write(p) //nolint:wrapcheck // as the connection says it
}

// Close implements net.Conn.
func (c *messageConn) Close() error {
	c.messages.mu.Lock()
	delete(c.messages.conns, c)
	c.messages.mu.Unlock()
	c.forget()
	return c.Conn.Close() //nolint:wrapcheck // as the connection says it
}

// forget counts nothing of the connection any more.
func (c *messageConn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.messages.used.Add(-c.takes)
	c.takes = 0
	clear(c.streams)
}

// began takes in the beginning of a frame of the client.
func (c *messageConn) began(f *frames) {
	switch {
	case c.closed:
	case f.kind == frameHeaders && f.stream > c.last:
		c.last = f.stream
		if f.flags&flagEndStream == 0 {
			c.streams[f.stream] = &incoming{began: time.Now(), takes: rpcBytes}
			c.takes += rpcBytes
		}
	case f.kind == frameReset, f.kind == frameHeaders && f.flags&flagEndStream != 0:
		c.end(f.stream)
	}
}

// answered takes in the beginning of a frame of the server.
func (c *messageConn) answered(f *frames) {
	if f.kind == frameReset || f.kind == frameHeaders && f.flags&flagEndStream != 0 {
		c.end(f.stream)
	}
}

// end says that nothing is held of what the stream has sent.
func (c *messageConn) end(stream uint32) {
	if s := c.streams[stream]; s != nil {
		c.takes -= s.takes
		delete(c.streams, stream)
	}
}

// came takes in data of the stream whose frame comes.
func (c *messageConn) came(p []byte) {
	s := c.streams[c.in.stream]
	if s == nil {
		return
	}
	before := s.takes
	for len(p) > 0 {
		if s.takes == 0 {
			s.began = time.Now()
		}
		if s.have < len(s.prefix) {
			n := copy(s.prefix[s.have:], p)
			s.have, p = s.have+n, p[n:]
			s.takes += int64(n)
			if s.have < len(s.prefix) {
				break
			}
			s.left = int64(binary.BigEndian.Uint32(s.prefix[1:]))
		}
		n := min(s.left, int64(len(p)))
		s.left, p = s.left-n, p[n:]
		s.takes += n
		if s.left == 0 { // it is there, and whose it is
			s.have, s.takes = 0, 0
		}
	}
	c.takes += s.takes - before
}

// held is how much the connection holds and for how long, added up; apart, of that which it has held for
// as long as patience.
func (c *messageConn) held(now time.Time) (all, long float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		age := now.Sub(s.began)
		held := float64(s.takes) * max(age, time.Millisecond).Seconds()
		all += held
		if age >= patience {
			long += held
		}
	}
	return all, long
}

// shrink closes connections until there is room.
func (m *messages) shrink() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for used := m.used.Load(); used > m.most; used = m.used.Load() {
		now := time.Now()
		atOnce := used > mostAtOnce*m.most
		if !atOnce && now.Sub(m.looked) < lookAgain {
			return
		}
		var worst *messageConn
		most := 0.0
		for c := range m.conns {
			held, long := c.held(now)
			if !atOnce {
				held = long
			}
			if held > most {
				worst, most = c, held
			}
		}
		if worst == nil {
			m.looked = now
			return
		}
		delete(m.conns, worst)
		worst.forget()
		_ = below(worst.Conn).Close()
	}
}

// below is the connection below TLS, which is closed without a word that it would have to take: TLS would
// wait for that, and for what it is writing.
func below(conn net.Conn) net.Conn {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return secure.NetConn()
	}
	return conn
}
