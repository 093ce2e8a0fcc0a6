package serving

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/weirflow/weir/internal/socket"
	"github.com/weirflow/weir/internal/stacks"
)

// greetWithin is for how long a client of gRPC may say nothing, and how long its handshake of TLS may take.
const greetWithin = 10 * time.Second

// greeter accepts the connections of a listener once their clients have said something, and by TLS have
// made the handshake: those that have not are bounded as connections without a request are. It is what
// makes the handshakes, since gRPC takes any number of them at a time.
type greeter struct {
	net.Listener
	config     *tls.Config // nil for plain text
	handshakes *handshakes
	idle       *idleBound
	stacks     *stacks.Pool // for handshakes

	begin  sync.Once
	ready  chan net.Conn
	failed chan error
	closed chan struct{}

	mu      sync.Mutex
	greeted map[*helloConn]struct{} // those that are not ready yet
	ended   bool
}

func newGreeter(l net.Listener, config *tls.Config, most int64, idle *idleBound) *greeter {
	return &greeter{
		Listener: l, config: config, handshakes: newHandshakes(most), idle: idle, stacks: stacks.New(),
		ready: make(chan net.Conn), failed: make(chan error, 1), closed: make(chan struct{}), greeted: make(map[*helloConn]struct{}),
	}
}

// Accept implements net.Listener.
func (g *greeter) Accept() (net.Conn, error) {
	g.begin.Do(func() { go g.acceptAll() }) // ends with the listener
	select {
	case conn := <-g.ready:
		return conn, nil
	case err := <-g.failed:
		if temporary, ok := err.(interface{ Temporary() bool }); ok && temporary.Temporary() { //nolint:errorlint // as gRPC looks at it
			go g.acceptAll()
		} else {
			g.failed <- err // for whoever accepts again
		}
		return nil, err
	}
}

// acceptAll greets connections until there is an error.
func (g *greeter) acceptAll() {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			g.failed <- err
			return
		}
		_ = socket.EndUnacknowledged(below(conn), unacknowledged)
		if hello := (&helloConn{Conn: conn, secure: g.config != nil}); g.comes(hello) {
			go g.greet(hello) // ends within greetWithin, or with the listener
		}
	}
}

// comes takes in a connection, unless the end has come.
func (g *greeter) comes(conn *helloConn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		_ = conn.Close()
		return false
	}
	g.greeted[conn] = struct{}{}
	g.idle.note(conn, http.StateNew)
	return true
}

// greet has the connection accepted once its client has said something and made the handshake.
func (g *greeter) greet(conn *helloConn) {
	ready, err := g.shake(conn)
	g.mu.Lock()
	delete(g.greeted, conn)
	ended := g.ended
	g.mu.Unlock()
	g.idle.note(conn, http.StateClosed) // it is counted by whoever accepts it from now on
	if err == nil && !ended {
		select {
		case g.ready <- ready:
			return
		case <-g.closed:
		}
	}
	_ = conn.Close()
}

// shake waits for the client's first byte, and makes the handshake.
func (g *greeter) shake(conn *helloConn) (ready net.Conn, err error) {
	_ = conn.SetDeadline(time.Now().Add(greetWithin))
	if err := conn.await(); err != nil {
		return nil, err
	}
	ready = conn
	if g.config != nil {
		secure := tls.Server(conn, g.config)
		ready = secure
		err = g.handshakes.shake(conn, conn.Conn, g.stacks, func() error {
			g.idle.note(conn, http.StateActive)
			return secure.Handshake()
		})
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	return ready, err
}

// Close implements net.Listener. It closes the connections that are not ready, too.
func (g *greeter) Close() error {
	err := g.Listener.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.ended = true
		close(g.closed)
		g.stacks.Close()
		for conn := range g.greeted {
			_ = conn.Close()
		}
	}
	return err //nolint:wrapcheck // as the listener says it
}
