package stream

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weirflow/weir/internal/socket"
)

// noting is a listener that tells of the connections that it accepts.
type noting struct {
	net.Listener
	conns chan *net.TCPConn
}

func (l noting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.conns <- conn.(*net.TCPConn)
	}
	return conn, err
}

// TestDeadPeersAreNoticed wants the system to end a ticket stream whose peer acknowledges nothing, within
// the time that is given to keepalives.
func TestDeadPeersAreNoticed(t *testing.T) {
	conns := make(chan *net.TCPConn, 100)
	a := start(t, "a", nil)
	b := start(t, "b", func(c *Config) { c.Listener = noting{c.Listener, conns} })
	introduce(a, b)
	wait(t, "the stream at a", a.up)
	wait(t, "the stream at b", b.up)
	within := 0
	err := socket.Control(wait(t, "the connection", conns), func(fd int) (err error) {
		within, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		return err
	})
	if err != nil || int64(within) != unanswered.Milliseconds() {
		t.Errorf("TCP_USER_TIMEOUT is %d ms (%v), want %v", within, err, unanswered)
	}
}
