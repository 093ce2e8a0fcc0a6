package serving

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// headBytes is what a connection takes in memory once a request has begun to come in, and
	// headFactor what each byte of a head does: of lines as short as they can be, some fifteen
	// times itself.
	headBytes  = 8 << 10
	headFactor = 16
	// writeBuffer is what the system buffers of an answer, in bytes, and may double. It tells
	// the server that there is room again once a third of that is taken: with the megabytes
	// that it would buffer by itself, a client that reads slowly and steadily would look as if
	// it took nothing.
	writeBuffer = 128 << 10
	// idleParts: connections on which there is no request may take so many times what heads may.
	idleParts = 2
)

// BoundHeads has a server hold at most so many bytes of memory for heads of requests that have
// not come in whole: before that, nobody knows who sends them. What would be beyond ends the
// connection that has sent most of one. Twice as much is for connections on which there is no
// request: beyond it the one that has been idle for longest is closed. As much again as for heads is
// for requests by HTTP/2, which a server with a TLSConfig speaks, too: see [Admitted]. It returns the
// listener that the server is to serve, which has taken over the server's TLSConfig.
func BoundHeads(server *http.Server, l net.Listener, most int64) net.Listener {
	h, idle := &heads{most: max(most, 2*(headBytes+headFactor*int64(server.MaxHeaderBytes))), coming: make(map[*headConn]struct{})}, boundIdle(idleParts*most)
	before := server.ConnState
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if before != nil {
			before(conn, state)
		}
		h.note(conn, state)
		idle.note(conn, state)
	}
	bounded := &headListener{Listener: l, heads: h}
	if server.TLSConfig != nil {
		return secure(server, bounded, most, idle)
	}
	return bounded
}

// headListener counts what comes in by the connections that it accepts.
type headListener struct {
	net.Listener
	heads *heads
}

// Accept implements net.Listener.
func (l *headListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // as the listener says it
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn, nil
	}
	_ = tcp.SetWriteBuffer(writeBuffer) // else answers are cut off earlier than they might be
	return &headConn{TCPConn: tcp, heads: l.heads}, nil
}

// SyscallConn implements syscall.Conn, if the listener below does.
func (l *headListener) SyscallConn() (syscall.RawConn, error) {
	if raw, ok := l.Listener.(syscall.Conn); ok {
		return raw.SyscallConn() //nolint:wrapcheck // as the listener says it
	}
	return nil, syscall.EINVAL
}

// heads counts the memory of those that have not come in whole.
//
// Invariant: used is the sum of what the connections in coming take, and none of them has
// brought its head.
type heads struct {
	most int64

	mu     sync.Mutex
	used   int64
	coming map[*headConn]struct{}
}

// headConn is a connection of which is known how much of a head it has brought.
type headConn struct {
	*net.TCPConn
	heads *heads

	whole  atomic.Bool // its head is there, or it needs no bound
	exempt bool        // for good; of the server's goroutine for it
	// Guarded by heads.mu:
	bytes int64
	began time.Time
}

// Read implements net.Conn.
func (c *headConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n > 0 && !c.whole.Load() {
		c.heads.came(c, n)
	}
	return n, err //nolint:wrapcheck // as the connection says it
}

func (c *headConn) takes() int64 {
	if c.bytes == 0 {
		return 0
	}
	return headBytes + headFactor*c.bytes
}

// came counts bytes of a head, and ends connections until they have room.
func (h *heads) came(c *headConn, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.used -= c.takes()
	if c.bytes == 0 {
		c.began = time.Now()
		h.coming[c] = struct{}{}
	}
	c.bytes += int64(n)
	h.used += c.takes()
	for h.used > h.most && len(h.coming) > 0 {
		now, most := time.Now(), -1.0
		var worst *headConn
		for other := range h.coming {
			if held := float64(other.takes()) * now.Sub(other.began).Seconds(); held > most {
				worst, most = other, held
			}
		}
		h.leave(worst)
		_ = worst.Close()
	}
}

// leave counts a connection no more.
func (h *heads) leave(c *headConn) {
	h.used -= c.takes()
	c.bytes = 0
	delete(h.coming, c)
}

// note is told what the server's connections are doing.
func (h *heads) note(conn net.Conn, state http.ConnState) {
	handshake := false
	if secure, ok := conn.(*secureConn); ok {
		conn, handshake = secure.raw, !secure.ready.Load()
		if c, ok := conn.(*headConn); ok && secure.http2.Load() {
			c.exempt = true
			if state == http.StateIdle {
				secure.streams.idle(secure)
			}
		}
	}
	c, ok := conn.(*headConn)
	if !ok {
		return
	}
	c.whole.Store(handshake || c.exempt || state != http.StateNew && state != http.StateIdle)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(c)
}
