package serving

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// rpcBytes is what a stream of gRPC takes in memory before its first message is there, beside
	// rpcLineBytes for each line of its own headers. A line that was sent before is one byte, and counts
	// rpcLeast or more against the bound on headers.
	rpcBytes     = 12 << 10
	rpcLineBytes = 128
	rpcLeast     = 33
	// mostAtOnce: for less than patience, messages may take so many times what they may for longer,
	// beside what is lent.
	mostAtOnce = 2
	// unacknowledged is for how long a peer may acknowledge nothing of what is sent to it, if the system can
	// see to that: else a keepalive ends a dead peer's connection later.
	unacknowledged = 10 * time.Second
)

// Lender lends memory for a second or two. It is safe for concurrent use.
type Lender interface {
	// Lend lends so many bytes, or reports that there is no room for them.
	Lend(bytes int64) bool
	// TakeBack has so many of them back.
	TakeBack(bytes int64)
}

// BoundMessages has a server of gRPC hold at most so many bytes of memory for streams on which no message
// has come yet, and for messages that have not come in whole: gRPC takes 4 MB for each, and so knows
// nobody's whose they are. What would be beyond ends the connection that has held most for longest. For
// less than a second it may be twice as much, and what the lender has room for: messages of honest clients
// are whole by then. No connection waits for others' before it holds its part. The server takes up to head
// bytes of headers of a stream.
//
// It also makes the handshakes of TLS, if there is a configuration of that, for as many at a time as fit in
// so many bytes. Twice as much is for connections without a stream: beyond it the one that has been idle
// for longest is closed.
func BoundMessages(l net.Listener, secure *tls.Config, most int64, head int, lender Lender) net.Listener {
	idle := boundIdle(idleParts * most)
	return &messageListener{Listener: newGreeter(l, secure, most, idle), messages: &messages{
		most: most, lines: head / rpcLeast, lender: lender, idle: idle, conns: make(map[*messageConn]struct{}),
	}}
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
	c := &messageConn{Conn: conn, messages: l.messages, streams: make(map[uint32]*incoming), since: time.Now(), in: frames{skip: len(preface)}}
	l.messages.mu.Lock()
	l.messages.conns[c] = struct{}{}
	l.messages.mu.Unlock()
	l.messages.idle.note(c, http.StateNew)
	return c, nil
}

// incoming is a stream, as far as its client sends something.
type incoming struct {
	began  time.Time // of what it takes
	takes  int64
	lines  int     // of its own headers, at most
	prefix [5]byte // of a message: a flag, and its length
	have   int     // bytes of it
	left   int64   // bytes of the message that are still to come
}

// messageConn is a connection of gRPC of which is known what has not come in whole.
type messageConn struct {
	net.Conn
	messages *messages
	since    time.Time // it is there
	givenUp  int64     // in the last second; under messages.mu

	mu      sync.Mutex
	streams map[uint32]*incoming
	last    uint32 // the highest number of a stream
	takes   int64
	left    int64 // what streams took that were given up in this read
	closed  bool

	telling sync.Mutex // before mu
	busy    bool       // there are streams on it, as far as is told

	in  frames // of the one goroutine that reads
	out frames // of the one that writes
}

// Read implements net.Conn.
func (c *messageConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	before := c.takes
	c.left = 0
	c.in.come(p[:n], c.began, c.came)
	left := c.left
	takes := c.takes
	c.mu.Unlock()
	c.messages.used.Add(takes - before)
	c.messages.giveUp(c, takes, left)
	c.messages.room(c, takes, takes-before)
	c.tell(false)
	return n, err //nolint:wrapcheck // as the connection says it
}

// Write implements net.Conn.
func (c *messageConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	before := c.takes
	c.out.come(p, c.answered, func([]byte) {})
	takes := c.takes
	c.mu.Unlock()
	c.messages.used.Add(takes - before)
	c.messages.room(c, takes, takes-before)
	c.tell(false)
	return c.Conn.Write(p) //nolint:wrapcheck // as the connection says it
}

// Close implements net.Conn.
func (c *messageConn) Close() error {
	c.messages.mu.Lock()
	delete(c.messages.conns, c)
	c.messages.leave(nil, c.forget())
	c.messages.borrow()
	c.messages.mu.Unlock()
	c.tell(true)
	return c.Conn.Close() //nolint:wrapcheck // as the connection says it
}

// tell tells whether there are streams on the connection, if that has changed or it is closed.
func (c *messageConn) tell(closes bool) {
	c.telling.Lock()
	defer c.telling.Unlock()
	c.mu.Lock()
	busy, closed := len(c.streams) > 0, c.closed
	c.mu.Unlock()
	switch {
	case closes:
		c.messages.idle.note(c, http.StateClosed)
	case closed || busy == c.busy:
	case busy:
		c.messages.idle.note(c, http.StateActive)
	default:
		c.messages.idle.note(c, http.StateIdle)
	}
	c.busy = busy
}

// NetConn is the connection below.
func (c *messageConn) NetConn() net.Conn { return c.Conn }

// forget counts nothing of the connection's streams from now on, and returns what they took.
func (c *messageConn) forget() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := c.takes
	c.messages.used.Add(-took)
	c.closed, c.takes = true, 0
	clear(c.streams)
	return took
}

// began takes in the beginning of a frame of the client.
func (c *messageConn) began(f *frames) {
	switch {
	case c.closed:
	case f.kind == frameHeaders && f.stream > c.last:
		c.last = f.stream
		c.streams[f.stream] = &incoming{began: time.Now(), takes: rpcBytes}
		c.takes += rpcBytes
		c.lines(f)
	case f.kind == frameContinuation:
		c.lines(f)
	case f.kind == frameReset:
		c.left += c.end(f.stream)
	}
}

// lines counts those of a stream's own headers which may be in the frame.
func (c *messageConn) lines(f *frames) {
	if s := c.streams[f.stream]; s != nil {
		more := min(f.rest, c.messages.lines-s.lines)
		s.lines += more
		s.takes += int64(more) * rpcLineBytes
		c.takes += int64(more) * rpcLineBytes
	}
}

// answered takes in the beginning of a frame of the server.
func (c *messageConn) answered(f *frames) {
	if f.kind == frameReset || f.kind == frameHeaders && f.flags&flagEndStream != 0 {
		c.end(f.stream)
	}
}

// end counts nothing of the stream any more, and returns what it took.
func (c *messageConn) end(stream uint32) int64 {
	s := c.streams[stream]
	if s == nil {
		return 0
	}
	c.takes -= s.takes
	delete(c.streams, stream)
	return s.takes
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

// held is how much the connection has held for so long at least, and for how long, added up.
func (c *messageConn) held(now time.Time, since time.Duration) (sum float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		if age := now.Sub(s.began); age >= since {
			sum += float64(s.takes) * max(age, time.Millisecond).Seconds()
		}
	}
	return sum
}

// below is the connection below TLS and what counts, which is closed without a word that it would have to
// take: TLS would wait for that, and for what it is writing.
func below(conn net.Conn) net.Conn {
	for {
		above, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = above.NetConn()
	}
}
