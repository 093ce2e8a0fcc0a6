package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const deadlyPrompt = "deadly"

// mortal is a model server that answers so many requests on a connection, and closes the
// connection at the next one. A deadly prompt closes all of them at once, and if it does not
// come back its listener too.
type mortal struct {
	perConnection int
	comesBack     bool

	listener net.Listener
	answered atomic.Int64
	deadly   atomic.Int64 // requests with the prompt
	cut      atomic.Int64 // other requests that got no answer

	mu   sync.Mutex
	open map[net.Conn]bool
}

func (m *mortal) start(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.listener, m.open = l, make(map[net.Conn]bool)
	t.Cleanup(func() {
		_ = l.Close()
		m.closeAll()
	})
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			m.open[conn] = true
			m.mu.Unlock()
			go m.serve(conn) // ends with the connection
		}
	}()
	return "http://" + l.Addr().String()
}

func (m *mortal) closeAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for conn := range m.open {
		_ = conn.Close()
		delete(m.open, conn)
	}
}

func (m *mortal) serve(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // a test
	r := bufio.NewReader(conn)
	for n := 0; ; n++ {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body) //nolint:errcheck // what is short has no prompt
		if strings.Contains(string(body), deadlyPrompt) {
			m.deadly.Add(1)
			if !m.comesBack {
				_ = m.listener.Close()
			}
			m.closeAll()
			return
		}
		if n == m.perConnection {
			m.cut.Add(1)
			return
		}
		m.answered.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
	}
}

// TestClosedConnections has a server close the connections that were kept after a number of
// requests, as it happens that the next one is already on its way. No client notices.
func TestClosedConnections(t *testing.T) {
	server := &mortal{perConnection: 2}
	url := server.start(t)
	r := newRig(t, 4, url)
	for i := range 12 {
		if res, body := r.post(t, "/v1/chat/completions", chat); res.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %d %s", i, res.StatusCode, body)
		}
	}
	if server.cut.Load() == 0 {
		t.Error("no connection was closed at a request")
	}
	if n := r.figure(t, "weir_endpoint_errors_total"); n != 0 {
		t.Errorf("%v failures of the server were counted", n)
	}
	r.nothingHeld(t)
}

// TestDeadlyPrompts wants a prompt that kills servers to reach one of them only, and not
// more often than twice where it comes back.
func TestDeadlyPrompts(t *testing.T) {
	for name, comesBack := range map[string]bool{"dies": false, "comes back": true} {
		t.Run(name, func(t *testing.T) {
			servers, urls := make([]*mortal, 3), make([]string, 3)
			for i := range servers {
				servers[i] = &mortal{perConnection: 1000, comesBack: comesBack}
				urls[i] = servers[i].start(t)
			}
			r := newRig(t, 64, urls...)
			warm := func() bool {
				return !slices.ContainsFunc(servers, func(m *mortal) bool { return m.answered.Load() == 0 })
			}
			for n := 0; !warm(); n++ { // so that a connection is kept at each
				if r.post(t, "/v1/chat/completions", chat); n == 1000 {
					t.Fatal("a server gets no requests")
				}
			}
			if res, body := r.post(t, "/v1/chat/completions", strings.Replace(chat, `"hi"`, `"`+deadlyPrompt+`"`, 1)); res.StatusCode != http.StatusBadGateway {
				t.Errorf("%d %s, want 502", res.StatusCode, body)
			}
			reached, times := 0, int64(0)
			for _, s := range servers {
				if n := s.deadly.Load(); n > 0 {
					reached, times = reached+1, times+n
				}
			}
			if reached != 1 || comesBack && times != 2 {
				t.Errorf("the prompt reached %d servers, %d times in all", reached, times)
			}
			r.nothingHeld(t)
		})
	}
}
