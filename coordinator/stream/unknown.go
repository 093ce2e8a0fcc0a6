package stream

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/coordinator/callers"
	"github.com/weirflow/weir/internal/socket"
)

// errCrowded says that too many connections were open of whose other ends nothing was known.
var errCrowded = errors.New("too many connections were open of others that had not said yet who they are")

// errTalkative says that more came than it takes to say who one is.
var errTalkative = errors.New("too much came before it was said from whom")

// unknown is a listener whose connections are bounded in number until it is known who is at
// their other ends.
type unknown struct {
	net.Listener
	bound   *callers.Bound
	refused *refusalLog
}

// Accept implements net.Listener.
func (l *unknown) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // gRPC looks at what it is
		}
		caller, over := l.bound.Enter(conn)
		if over != nil {
			l.refused.note(over.RemoteAddr().String(), errCrowded)
			_ = over.Close()
		}
		if caller != nil {
			_ = socket.EndUnacknowledged(conn, unanswered) // if it cannot, keepalives end the connection, later
			return &unknownConn{Conn: conn, caller: caller, left: maxUnknownBytes}, nil
		}
	}
}

// unknownConn is a connection of such a listener. What comes by it is bounded, too, until then:
// gRPC has room for whole messages before it is asked whose they are.
type unknownConn struct {
	net.Conn
	caller *callers.Caller
	known  atomic.Bool
	left   int // that may come, in bytes
}

// Read implements net.Conn.
func (c *unknownConn) Read(p []byte) (int, error) {
	if c.known.Load() {
		return c.Conn.Read(p)
	}
	if c.left == 0 {
		return 0, errTalkative
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// Close implements net.Conn.
func (c *unknownConn) Close() error {
	c.caller.Leave()
	return c.Conn.Close()
}

// turnAway closes a connection by which a stream was refused, once the other end could be told why. Who
// is at the other end of one that is known may have more to say.
func turnAway(conn net.Conn) {
	if c, ok := conn.(*unknownConn); ok {
		time.AfterFunc(farewell, func() {
			if !c.known.Load() {
				_ = c.Close()
			}
		})
	}
}

// known says that it is known who is at the other end of a connection.
func known(conn net.Conn) {
	if c, ok := conn.(*unknownConn); ok {
		c.known.Store(true)
		c.caller.Leave()
	}
}
