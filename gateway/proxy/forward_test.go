package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/internal/rig"
)

const deadlyPrompt = "deadly"

// death is what a deadly prompt does to a server.
type death int

const (
	dies      death = iota // all connections and the listener are closed
	comesBack              // all connections are closed
	breaksOff              // its own connection is closed
)

// mortal is a model server that answers so many requests on a connection, and closes the
// connection at the next one. Of a deadly prompt, or path, it dies.
type mortal struct {
	perConnection int
	death         death
	agony         time.Duration   // how long it works on a deadly prompt
	hold          <-chan struct{} // answers wait until it is closed, if it is set

	listener net.Listener
	begun    atomic.Int64 // requests that get an answer
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
		if strings.Contains(req.URL.Path+string(body), deadlyPrompt) {
			m.deadly.Add(1)
			time.Sleep(m.agony)
			if m.death == dies {
				_ = m.listener.Close()
			}
			if m.death != breaksOff {
				m.closeAll()
			}
			return
		}
		if n == m.perConnection {
			m.cut.Add(1)
			return
		}
		m.begun.Add(1)
		if m.hold != nil {
			<-m.hold
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
	}
}

// TestClosedConnections has a server close the connections that were kept after a number of
// requests, as it happens that the next one is already on its way. No client notices.
func TestClosedConnections(t *testing.T) {
	server := &mortal{perConnection: 2}
	url := server.start(t)
	r := rig.New(t, 4, url)
	for i := range 12 {
		if res, body := r.Post(t, "/v1/chat/completions", rig.Chat); res.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %d %s", i, res.StatusCode, body)
		}
	}
	if server.cut.Load() == 0 {
		t.Error("no connection was closed at a request")
	}
	if n := r.Figure(t, "weir_endpoint_errors_total"); n != 0 {
		t.Errorf("%v failures of the server were counted", n)
	}
	r.NothingHeld(t)
}

// TestDeadlyPrompts wants a prompt that kills servers to reach one of them only, and not
// more often than twice: not where it comes back, where it has more connections that were kept,
// or where the client's headers say that the request may be repeated.
func TestDeadlyPrompts(t *testing.T) {
	prompt := strings.Replace(rig.Chat, `"hi"`, `"`+deadlyPrompt+`"`, 1)
	for name, c := range map[string]struct {
		death  death
		agony  time.Duration
		method string
		path   string
		body   string
		times  int64 // at most
	}{
		"dies":            {death: dies, method: http.MethodPost, body: prompt, times: 1},
		"comes back":      {death: comesBack, method: http.MethodPost, body: prompt, times: 2},
		"breaks off":      {death: breaksOff, method: http.MethodPost, body: prompt, times: 2},
		"after long work": {death: breaksOff, agony: 1500 * time.Millisecond, method: http.MethodPost, body: prompt, times: 1},
		"GET with a body": {death: breaksOff, method: http.MethodGet, body: prompt, times: 2},
		"GET":             {death: breaksOff, method: http.MethodGet, path: "/" + deadlyPrompt, times: 1},
		"POST of nothing": {death: breaksOff, method: http.MethodPost, path: "/" + deadlyPrompt, times: 1},
	} {
		for _, header := range []string{"X-Nothing", "Idempotency-Key", "X-Idempotency-Key"} {
			t.Run(name+", "+header, func(t *testing.T) {
				t.Parallel()
				servers := make([]*mortal, 3)
				for i := range servers {
					servers[i] = &mortal{perConnection: 1000, death: c.death, agony: c.agony}
				}
				r := newWarmRig(t, servers)
				req, err := http.NewRequestWithContext(t.Context(), c.method, r.URL+"/v1/chat/completions"+c.path, strings.NewReader(c.body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set(header, "a")
				res, err := r.Client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusBadGateway {
					t.Errorf("answered %d, want 502", res.StatusCode)
				}
				reached, times := 0, int64(0)
				for _, s := range servers {
					if n := s.deadly.Load(); n > 0 {
						reached, times = reached+1, times+n
					}
				}
				if reached != 1 || times > c.times {
					t.Errorf("the prompt reached %d servers, %d times in all; want one, %d times at most", reached, times, c.times)
				}
				r.NothingHeld(t)
			})
		}
	}
}

// newWarmRig makes a rig that keeps several connections to each of the servers, which it starts.
func newWarmRig(t *testing.T, servers []*mortal) *rig.Rig {
	t.Helper()
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	urls := make([]string, len(servers))
	for i, s := range servers {
		s.hold = hold
		urls[i] = s.start(t)
	}
	const each = 5
	r := rig.New(t, 64, urls...)
	var clients sync.WaitGroup
	for range each * len(servers) {
		clients.Go(func() { r.Post(t, "/v1/chat/completions", rig.Chat) })
	}
	// All are under way at once, so each has a connection of its own.
	begun := func() (n int64) {
		for _, s := range servers {
			n += s.begun.Load()
		}
		return n
	}
	rig.Eventually(t, func() string {
		if n := begun(); n < each*int64(len(servers)) {
			return fmt.Sprintf("%d requests reached the servers", n)
		}
		return ""
	})
	release()
	clients.Wait()
	for i, s := range servers {
		if n := s.begun.Load(); n < 3 {
			t.Fatalf("server %d has %d connections, which are too few to show a request that goes from one to the next", i, n)
		}
	}
	return r
}

// TestIdempotencyKeysReachServers wants the header passed on, although Weir makes nothing of it.
func TestIdempotencyKeysReachServers(t *testing.T) {
	got := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Idempotency-Key")
	}))
	t.Cleanup(upstream.Close)
	r := rig.New(t, 1, upstream.URL)
	r.Post(t, "/v1/chat/completions", rig.Chat, "Idempotency-Key", "a")
	if key := <-got; key != "a" {
		t.Errorf("the server got the key %q, want a", key)
	}
}
