package serving_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/serving"
)

// slowListener accepts a connection only some time after it was asked to, as a busy machine
// does.
type slowListener struct {
	*net.TCPListener
	by time.Duration
}

func (l slowListener) Accept() (net.Conn, error) {
	time.Sleep(l.by)
	return l.TCPListener.Accept() //nolint:wrapcheck // as the listener says it
}

// TestConnectionsThatHaveArrivedAreServed has connections wait to be accepted when the end
// comes: each is accepted and answered before the listener closes.
func TestConnectionsThatHaveArrivedAreServed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: what has arrived is known on Linux only")
	}
	l, err := serving.Listen("--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "served")
	})}
	ended := make(chan error, 1)
	go func() {
		ended <- serving.Until(ctx, 30*time.Second, server, slowListener{l.(*net.TCPListener), 100 * time.Millisecond},
			func(context.Context) error { return nil })
	}()
	end()
	time.Sleep(300 * time.Millisecond) // it accepts yet, for half a second
	const clients = 12
	answers := make(chan string, clients)
	for range clients {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		go func() {
			answer, err := io.ReadAll(conn)
			answers <- fmt.Sprint(string(answer), err)
		}()
	}
	for range clients {
		if answer := <-answers; !strings.HasSuffix(answer, "served<nil>") || !strings.Contains(answer, "Connection: close") {
			t.Errorf("a client that came before the listener closed got %q", answer)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
