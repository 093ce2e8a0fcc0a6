package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirflow/weir/internal/stacks"
)

const (
	// maxStreams are open at a time on a connection of HTTP/2. Clients that want more open
	// another connection.
	maxStreams = 100
	// minWindow and maxWindow are how much of bodies may come by a connection before it is read,
	// in bytes: a sixteenth of what there is for heads, within these bounds. A stream has one part
	// of it in windowPart, so that uploads that nobody reads leave others their room.
	minWindow, maxWindow, windowPart = 512 << 10, 1 << 20, 8
	// maxFrame is the largest frame that is taken, the least that there may be: it has its room
	// once it is announced.
	maxFrame = 16 << 10
)

// secure has a server speak TLS on the connections of a listener, as its TLSConfig says, which is
// taken from it. The server itself is given plain text, in which requests by HTTP/2 can be
// counted before it takes them in.
func secure(server *http.Server, l net.Listener, most int64, idle *idleBound) net.Listener {
	config := server.TLSConfig.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	server.TLSConfig, server.Protocols = nil, new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	window := int(min(max(most/16, minWindow), maxWindow))
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame, MaxReceiveBufferPerConnection: window, MaxReceiveBufferPerStream: window / windowPart,
	}
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	server.DisableGeneralOptionsHandler = true // or OPTIONS * would not come by the handler
	handler := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := r.Context().Value(connKey{}).(*secureConn)
		state := conn.tls.ConnectionState()
		r.TLS = &state
		if r.ProtoMajor == 2 {
			conn.streams.serve(conn, handler, w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
	pool := stacks.New()
	return &secureListener{
		Listener: l, server: server, config: config, streams: newStreams(most, server.MaxHeaderBytes), handshakes: newHandshakes(most), idle: idle,
		stacks: pool, close: sync.OnceFunc(pool.Close),
	}
}

// connKey is the context key of the connection of a request.
type connKey struct{}

// secureListener speaks TLS on the connections that it accepts.
type secureListener struct {
	net.Listener
	server     *http.Server
	offer      sync.Once // what config offers is settled
	config     *tls.Config
	streams    *streams
	handshakes *handshakes
	idle       *idleBound
	stacks     *stacks.Pool // for handshakes
	close      func()       // the pool, once
}

// Accept implements net.Listener.
func (l *secureListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // as the listener says it
	}
	l.offer.Do(func() {
		if l.server.TLSNextProto["h2"] == nil { // as GODEBUG asks for; Serve has decided before it accepts
			l.config.NextProtos = []string{"http/1.1"}
		}
	})
	hello := &helloConn{Conn: conn, secure: true}
	secure := tls.Server(hello, l.config)
	return &secureConn{Conn: secure, tls: secure, raw: conn, hello: hello, listener: l, streams: l.streams}, nil
}

// Close implements net.Listener.
func (l *secureListener) Close() error {
	l.close()
	return l.Listener.Close() //nolint:wrapcheck // as the listener says it
}

// SyscallConn implements syscall.Conn, if the listener below does.
func (l *secureListener) SyscallConn() (syscall.RawConn, error) {
	if raw, ok := l.Listener.(syscall.Conn); ok {
		return raw.SyscallConn() //nolint:wrapcheck // as the listener says it
	}
	return nil, syscall.EINVAL
}

// secureConn is a connection by TLS. The first that is read of it makes the handshake. Of its
// plain text it sees whether that is HTTP/2, and each request's head before the server does.
type secureConn struct {
	net.Conn // not as what it is: net/http would take HTTP/2 for settled by the handshake
	tls      *tls.Conn
	raw      net.Conn // below it
	hello    *helloConn
	listener *secureListener
	streams  *streams
	account  account // of its streams

	ready atomic.Bool // the handshake has been made
	http2 atomic.Bool
	head  atomic.Int64 // when the head began that has not come in whole, since the start of streams; 0 for none
	// Of the one goroutine that reads:
	failed error  // what came of the handshake
	other  bool   // it is not HTTP/2
	came   int    // bytes of the preface
	in     frames // behind it
	last   uint32 // the highest number of a stream
	ends   bool   // the frame is the last of a head
}

// preface is what a client that speaks HTTP/2 begins with.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// NetConn is the connection below.
func (c *secureConn) NetConn() net.Conn { return c.raw }

// CloseWrite implements what net/http ends its side by.
func (c *secureConn) CloseWrite() error { return c.tls.CloseWrite() } //nolint:wrapcheck // as TLS says it

// Close implements net.Conn.
func (c *secureConn) Close() error {
	c.streams.gone(c)
	return c.Conn.Close() //nolint:wrapcheck // as TLS says it
}

// Read implements net.Conn. It returns the head of a stream once there is room for the request.
func (c *secureConn) Read(p []byte) (int, error) {
	if !c.ready.Load() {
		if err := c.handshake(); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	if !c.other {
		c.see(p[:n])
	}
	return n, err //nolint:wrapcheck // as TLS says it
}

// handshake makes the handshake when it is its turn.
func (c *secureConn) handshake() error {
	if c.failed != nil { // net/http reads once more
		return c.failed
	}
	if c.failed = c.hello.await(); c.failed != nil {
		return c.failed
	}
	c.failed = c.listener.handshakes.shake(c.hello, c.raw, c.listener.stacks, func() error {
		c.listener.idle.note(c, http.StateActive) // it is counted there until the handshake has been made
		return c.tls.Handshake()
	})
	var plain tls.RecordHeaderError
	if errors.As(c.failed, &plain) && plain.Conn != nil && speaksHTTP(plain.RecordHeader) {
		_, _ = io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
	}
	if c.failed != nil {
		return c.failed
	}
	if head, ok := c.raw.(*headConn); ok {
		head.whole.Store(false) // a request's comes from now on
	}
	c.ready.Store(true)
	c.listener.idle.note(c, http.StateNew) // it takes more now
	return nil
}

// speaksHTTP reports whether what should begin a handshake begins a request.
func speaksHTTP(begin [5]byte) bool {
	switch string(begin[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// see looks at what was read.
func (c *secureConn) see(p []byte) {
	for ; c.came < len(preface) && len(p) > 0; p = p[1:] {
		if p[0] != preface[c.came] {
			c.other = true
			return
		}
		if c.came++; c.came == len(preface) {
			c.http2.Store(true)
		}
	}
	c.in.come(p, c.frame, func([]byte) {})
	if c.in.rest == 0 {
		c.whole()
	}
}

// whole notes that the frame has come in whole, and with it a head, if it was the last of one.
func (c *secureConn) whole() {
	if c.ends {
		c.ends = false
		c.head.Store(0)
	}
}

// frame takes in the beginning of a frame: that before it has come in whole.
func (c *secureConn) frame(f *frames) {
	c.whole()
	if f.kind == frameHeaders && f.stream > c.last { // else they are trailers
		c.last = f.stream
		c.streams.come(c)
		c.head.Store(int64(time.Since(c.streams.start)))
	}
	c.ends = (f.kind == frameHeaders || f.kind == frameContinuation) && f.flags&flagEndHeaders != 0
}
