package serving

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDeadPeersAreNoticed wants the system to end a connection of gRPC whose peer acknowledges nothing of
// what is sent to it, as gRPC has it do by itself where it knows the connection.
func TestDeadPeersAreNoticed(t *testing.T) {
	for what, wrap := range map[string]func(net.Listener) net.Listener{
		"plain": func(l net.Listener) net.Listener { return l },
		"TLS": func(l net.Listener) net.Listener {
			return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{}}})
		},
	} {
		t.Run(what, func(t *testing.T) {
			l, err := Listen("--ext-proc", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l = BoundMessages(wrap(l), 1<<20, 1<<10, &lends{})
			defer l.Close() //nolint:errcheck // of a test
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close() //nolint:errcheck // of a test
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // of a test
			within := 0
			if err := control(below(conn.(*messageConn).Conn), func(fd int) (err error) {
				within, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
				return err
			}); err != nil || time.Duration(within)*time.Millisecond != unacknowledged {
				t.Errorf("%d ms (%v), want %v", within, err, unacknowledged)
			}
		})
	}
}
