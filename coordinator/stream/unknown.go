package stream

import (
	"errors"
	"net"

	"github.com/weirflow/weir/coordinator/callers"
)

// errCrowded says that too many connections were open of whose other ends nothing was known.
var errCrowded = errors.New("too many connections were open of others that had not said yet who they are")

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
			return &unknownConn{conn, caller}, nil
		}
	}
}

// unknownConn is a connection of such a listener.
type unknownConn struct {
	net.Conn
	caller *callers.Caller
}

// Close implements net.Conn.
func (c *unknownConn) Close() error {
	c.caller.Leave()
	return c.Conn.Close()
}

// known says that it is known who is at the other end of a connection.
func known(conn net.Conn) {
	if c, ok := conn.(*unknownConn); ok {
		c.caller.Leave()
	}
}
