package serving

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/weirflow/weir/internal/certtest"
)

// TestDeadPeersAreNoticed wants the system to end a connection of gRPC whose peer acknowledges nothing of
// what is sent to it, as gRPC has it do by itself where it knows the connection.
func TestDeadPeersAreNoticed(t *testing.T) {
	ca := certtest.New(t)
	certFile, keyFile := ca.Issue("server")
	cert, err := NewCertificate(certFile, keyFile, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	for what, secure := range map[string]*tls.Config{"plain": nil, "TLS": cert.Config()} {
		t.Run(what, func(t *testing.T) {
			l, err := Listen("--ext-proc", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l = BoundMessages(l, secure, 1<<20, 1<<10, &lends{})
			defer l.Close() //nolint:errcheck // of a test
			go func() {
				client, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				if secure != nil {
					client = tls.Client(client, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
				}
				_, _ = client.Write([]byte("P")) // or it is not accepted
				_, _ = io.Copy(io.Discard, client)
				_ = client.Close()
			}()
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // of a test
			within := 0
			if err := control(conn, func(fd int) (err error) {
				within, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
				return err
			}); err != nil || time.Duration(within)*time.Millisecond != unacknowledged {
				t.Errorf("%d ms (%v), want %v", within, err, unacknowledged)
			}
		})
	}
}
