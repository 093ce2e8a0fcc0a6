package gateway_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/headers"
)

// begin opens a connection to the gateway and writes the text, which may be less than a
// request.
func (r *rig) begin(t testing.TB, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// answerOn reads an answer from a connection, within 2 s.
func answerOn(t testing.TB, c net.Conn) (int, string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// TestIdentityComesFirst wants a request without a known key to be refused before its body.
func TestIdentityComesFirst(t *testing.T) {
	r := newRigWith(t, 1, nil, func(c *rigConfig) {
		c.Keys = flows.Keys{sha256.Sum256([]byte("secret")): "a"}
	}, newModelServer(t))
	c := r.begin(t, "POST /v1/completions HTTP/1.1\r\nHost: weir\r\nContent-Length: 60000\r\n\r\n{")
	if code, body := answerOn(t, c); code != http.StatusUnauthorized {
		t.Errorf("%d %s, want 401 before the body came", code, body)
	}
}

// TestBodiesGrowAsTheyCome wants announced bytes to cost nothing.
func TestBodiesGrowAsTheyCome(t *testing.T) {
	const n, announced = 20, 32 << 20
	r := newRigWith(t, 1, nil, func(c *rigConfig) { c.MaxBody, c.MemoryBudget = announced, 1<<30 }, newModelServer(t))
	for range n {
		r.begin(t, fmt.Sprintf("POST /v1/completions HTTP/1.1\r\nHost: weir\r\nContent-Length: %d\r\n\r\n{", announced))
	}
	for until := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
		if used := r.gateway.MemoryUsed(); used >= n*gateway.SessionBytes {
			if used > n*(gateway.SessionBytes+(8<<10)) {
				t.Errorf("%d bytes of the budget are used by %d requests of one byte each", used, n)
			}
			break
		}
		if time.Now().After(until) {
			t.Fatal("the requests do not come in")
		}
	}
	var m runtime.MemStats
	runtime.GC() // of what earlier tests left
	if runtime.ReadMemStats(&m); m.HeapAlloc > announced {
		t.Errorf("%d MB of heap", m.HeapAlloc>>20)
	}
}

// TestMemoryIsShared wants a flow that fills the budget to be refused, and others to be
// served at its cost.
func TestMemoryIsShared(t *testing.T) {
	r := newRigWith(t, 4, nil, func(c *rigConfig) { c.MaxBody, c.MemoryBudget = 1<<20, 1<<20 }, newEcho(t, make(chan string, 3)))
	part := strings.Repeat("x", 200<<10)
	var greedy []net.Conn
	for range 8 { // of which about 3 have room
		greedy = append(greedy, r.begin(t, "POST /v1/completions HTTP/1.1\r\nHost: weir\r\nx-llm-d-inference-fairness-id: greedy\r\nContent-Length: 1000000\r\n\r\n"+part))
		time.Sleep(10 * time.Millisecond)
	}
	if code, body := answerOn(t, greedy[7]); code != http.StatusServiceUnavailable || !strings.Contains(body, "memory_exhausted") {
		t.Errorf("%d %s for the last of a flow that has filled the budget, want 503", code, body)
	}
	honest := `{"model":"simulated","max_tokens":1,"prompt":"` + part + `"}`
	for range 3 {
		began := time.Now()
		if res, body := r.post(t, "/v1/completions", honest, headers.Flow[0], "honest"); res.StatusCode != http.StatusOK {
			t.Errorf("%d %s for a flow that holds nothing", res.StatusCode, body)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
	}
	for _, c := range greedy {
		_ = c.Close()
	}
	for until := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
		used := r.gateway.MemoryUsed()
		if used == 0 {
			if n := r.figure(t, "weir_requests_over_bound_total", "bound", "memory"); n < 6 {
				t.Errorf("%v requests were ended or refused", n)
			}
			break
		}
		if time.Now().After(until) {
			t.Fatalf("%d bytes are left when everybody is gone", used)
		}
	}
	r.nothingHeld(t)
}

// newEcho is a server that tells of the bodies it gets.
func newEcho(t testing.TB, got chan<- string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- string(body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestWholeBodies wants bodies of all lengths around the bounds to go on as they came,
// with a length and without.
func TestWholeBodies(t *testing.T) {
	got := make(chan string, 1)
	upstream := newEcho(t, got)
	r := newRigWith(t, 1, nil, func(c *rigConfig) { c.MaxBody = 10_000 }, upstream)
	for _, n := range []int{0, 1, 511, 4095, 4096, 4097, 8192, 9999, 10_000, 10_001} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(strings.Repeat("x", n))
			if chunked {
				body = io.MultiReader(body) // whose length is not known
			}
			res, err := r.client.Post(r.url+"/v1/rerank", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if n > 10_000 {
				if res.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("%d bytes, chunked %v: %d, want 413", n, chunked, res.StatusCode)
				}
				continue
			}
			if res.StatusCode != http.StatusOK {
				t.Fatalf("%d bytes, chunked %v: %d", n, chunked, res.StatusCode)
			}
			if s := <-got; len(s) != n {
				t.Errorf("%d bytes, chunked %v: %d came", n, chunked, len(s))
			}
		}
	}
}
