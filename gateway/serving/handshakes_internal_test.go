package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/internal/certtest"
)

// near is a listener within the process: what is dialled comes at once, and takes no time but what
// clients take.
type near struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *near) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *near) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *near) Addr() net.Addr { return &net.TCPAddr{} }

func (l *near) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

// farConn is a client's connection with a round trip of so long.
type farConn struct {
	net.Conn
	trip time.Duration
}

func (c *farConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	time.Sleep(c.trip)
	c.trip = 0 // the rest came with it
	return n, err
}

// ask makes a handshake and a request from so far away.
func (l *near) ask(trip time.Duration) error {
	conn := tls.Client(&farConn{l.dial(), trip}, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}) //nolint:gosec // a test of time
	defer conn.Close()                                                                                                //nolint:errcheck // it may be closed already
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	text, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(text), "HTTP/1.1 200") {
		return fmt.Errorf("answered %q: %w", text, err)
	}
	return nil
}

// nearby runs a test with a server by TLS that has so much memory for heads, by a clock that stands
// while there is something to do.
func nearby(t *testing.T, most int64, test func(t *testing.T, l *near)) {
	t.Helper()
	certFile, keyFile := certtest.New(t).Issue("server")
	cert, err := NewCertificate(certFile, keyFile, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		l := &near{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{
			ReadHeaderTimeout: 10 * time.Second, TLSConfig: cert.Config(), MaxHeaderBytes: 64 << 10,
			Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		}
		ended := make(chan error)
		go func() { ended <- server.Serve(BoundHeads(server, l, most)) }()
		test(t, l)
		_ = server.Shutdown(context.WithoutCancel(t.Context()))
		<-ended
	})
}

// TestManyConnectAtOnce has more clients by TLS connect in one moment, from far away, than there is room
// for handshakes: they wait for each other, and all are answered.
func TestManyConnectAtOnce(t *testing.T) {
	const clients = 120 // for each of whom the test does the work of a client, too
	nearby(t, 3<<19, func(t *testing.T, l *near) {
		began, failed := time.Now(), make(chan error)
		for range clients {
			go func() { failed <- l.ask(300 * time.Millisecond) }()
		}
		for range clients {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the last was answered after %v", took)
		}
	})
}

// TestHandshakesThatDoNotEnd has many begin a handshake and say no more, again when they are cut off:
// others are answered soon.
func TestHandshakesThatDoNotEnd(t *testing.T) {
	const strangers = 150
	nearby(t, 1<<20, func(t *testing.T, l *near) {
		ours, theirs := net.Pipe()
		go func() {
			_ = tls.Client(ours, &tls.Config{ServerName: "server", MinVersion: tls.VersionTLS13}).Handshake()
		}()
		hello := make([]byte, 16<<10)
		n, _ := theirs.Read(hello)
		_ = theirs.Close()
		stop := make(chan struct{})
		var all sync.WaitGroup
		for range strangers {
			all.Go(func() {
				for {
					conn := l.dial()
					_, _ = conn.Write(hello[:n])
					closed := make(chan struct{})
					go func() {
						_, _ = io.Copy(io.Discard, conn)
						close(closed)
					}()
					select {
					case <-closed:
					case <-stop:
						_ = conn.Close()
						return
					}
				}
			})
		}
		time.Sleep(time.Second)
		for range 3 {
			began := time.Now()
			if err := l.ask(20 * time.Millisecond); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > turnWithin+100*time.Millisecond {
				t.Errorf("answered after %v", took)
			} else {
				t.Log(took)
			}
		}
		close(stop)
		all.Wait()
	})
}

// TestLongHandshakes wants a client to be cut off that sends more than a handshake needs.
func TestLongHandshakes(t *testing.T) {
	_, url, _ := secured(t, 8, func(http.ResponseWriter, *http.Request) {})
	conn := dial(t, strings.TrimPrefix(url, "https://"))
	record := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0}, make([]byte, 16<<10-4)...) // of 64 kB
	_, _ = conn.Write(append(record, record[:1000]...))
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it was not cut off")
	}
}
