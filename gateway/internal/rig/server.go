package rig

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/modelserver"
)

// ModelServer is a simulated model server that answers in a few milliseconds, with five tokens
// unless it is asked for others.
func ModelServer(t testing.TB) string {
	t.Helper()
	cfg := modelserver.DefaultConfig()
	cfg.Step, cfg.StepPerSequence, cfg.OutputTokens = time.Millisecond, 0, 5
	s, err := modelserver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL
}

// RawServer is a model server that answers each connection's first request with the
// text, and counts the connections that are still open.
func RawServer(t *testing.T, answer string) (url string, open func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	held := make(chan struct{}, 1000)
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			held <- struct{}{}
			go func() { // ends with the connection
				defer func() { <-held }()
				defer conn.Close() //nolint:errcheck // a test
				r := bufio.NewReader(conn)
				if req, err := http.ReadRequest(r); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
					_, _ = io.WriteString(conn, answer)
					_, _ = io.Copy(io.Discard, r)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String(), func() int { return len(held) }
}

// Echo is a server that tells of the bodies it gets.
func Echo(t testing.TB, got chan<- string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- string(body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// Headers is a server that tells of the headers it gets.
func Headers(t testing.TB, got chan<- http.Header) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	t.Cleanup(s.Close)
	return s.URL
}
