package gateway_test

import (
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
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/internal/rig"
)

// TestBodiesGrowAsTheyCome wants announced bytes to cost nothing.
func TestBodiesGrowAsTheyCome(t *testing.T) {
	const n, announced = 20, 32 << 20
	r := rig.With(t, 1, nil, func(c *rig.Config) { c.MaxBody, c.MemoryBudget = announced, 1<<30 }, rig.ModelServer(t))
	for range n {
		r.Begin(t, fmt.Sprintf("POST /v1/completions HTTP/1.1\r\nHost: weir\r\nContent-Length: %d\r\n\r\n{", announced))
	}
	var used float64
	rig.Eventually(t, func() string {
		if used = r.MemoryUsed(t); used < n*gateway.SessionBytes {
			return fmt.Sprint("the requests do not come in: ", used)
		}
		return ""
	})
	if used > n*(gateway.SessionBytes+(8<<10)) {
		t.Errorf("%v bytes of the budget are used by %d requests of one byte each", used, n)
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
	r := rig.With(t, 4, nil, func(c *rig.Config) { c.MaxBody, c.MemoryBudget = 1<<20, 1<<20 }, rig.Echo(t, make(chan string, 3)))
	part := strings.Repeat("x", 200<<10)
	var greedy []net.Conn
	refused := func() float64 { return r.Figure(t, "weir_requests_over_bound_total", "bound", "memory") }
	for range 8 { // of which about 3 have room
		used, before := r.MemoryUsed(t), refused()
		greedy = append(greedy, r.Begin(t, "POST /v1/completions HTTP/1.1\r\nHost: weir\r\nx-llm-d-inference-fairness-id: greedy\r\nContent-Length: 1000000\r\n\r\n"+part))
		rig.Eventually(t, func() string {
			if r.MemoryUsed(t) < used+float64(len(part)) && refused() == before {
				return "a request is neither taken in nor refused"
			}
			return ""
		})
	}
	if code, body := rig.AnswerOn(t, greedy[7]); code != http.StatusServiceUnavailable || !strings.Contains(body, "memory_exhausted") {
		t.Errorf("%d %s for the last of a flow that has filled the budget, want 503", code, body)
	}
	honest := `{"model":"simulated","max_tokens":1,"prompt":"` + part + `"}`
	for range 3 {
		began := time.Now()
		if res, body := r.Post(t, "/v1/completions", honest, headers.Flow[0], "honest"); res.StatusCode != http.StatusOK {
			t.Errorf("%d %s for a flow that holds nothing", res.StatusCode, body)
		}
		if took := time.Since(began); took > 20*time.Second { // it waits a minute for bodies that do not come, if nobody has to go
			t.Errorf("it took %v", took)
		}
	}
	for _, c := range greedy {
		_ = c.Close()
	}
	r.NothingHeld(t)
	if n := refused(); n < 6 {
		t.Errorf("%v requests were ended or refused", n)
	}
}

// TestHeadersCountWhatTheyTake wants thousands of short headers to be refused, and as many as
// are allowed to be counted as what they take of the heap: many times their text.
func TestHeadersCountWhatTheyTake(t *testing.T) {
	r := rig.With(t, 1, nil, func(c *rig.Config) { c.MemoryBudget = 1 << 30 }, rig.ModelServer(t))
	request := func(lines int) string {
		var text strings.Builder
		text.WriteString("POST /v1/completions HTTP/1.1\r\nHost: weir\r\nContent-Length: 1000\r\n")
		for i := range lines - 1 {
			fmt.Fprintf(&text, "%c%c:\r\n", 'a'+i/26, 'a'+i%26)
		}
		return text.String() + "\r\n{"
	}
	if code, body := rig.AnswerOn(t, r.Begin(t, request(headers.MaxCount+1))); code != http.StatusRequestHeaderFieldsTooLarge || !strings.Contains(body, "headers_too_large") {
		t.Errorf("%d %s for more headers than are allowed, want 431", code, body)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // also of what pools keep
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const n, lines = 100, headers.MaxCount - 1 // and the request's id, which the gateway adds
	idle, many := heap(), request(lines)
	for range n {
		r.Begin(t, many)
	}
	var used, took int64
	rig.Eventually(t, func() string { // they have memory before it is counted
		if used = int64(r.MemoryUsed(t)); used < n*(gateway.SessionBytes+1000) {
			return fmt.Sprint("the requests do not come in: ", used)
		}
		if took = heap() - idle; took > used {
			return fmt.Sprintf("%d requests of %d headers take %d bytes of the heap each, and %d are counted", n, lines, took/n, used/n)
		}
		return ""
	})
	t.Logf("%d bytes of the heap each, %d are counted", took/n, used/n)
}

// TestRequestsInFlightLeaveMemory wants a flow whose large requests are in flight, and not yet
// answered, to be refused more memory before others are.
func TestRequestsInFlightLeaveMemory(t *testing.T) {
	answer := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, _ = io.Copy(io.Discard, r.Body); r.Header.Get("X-Slow") != "" {
			<-answer
		}
	}))
	t.Cleanup(upstream.Close)
	t.Cleanup(func() { close(answer) })
	r := rig.With(t, 32, nil, func(c *rig.Config) { c.MaxBody, c.MemoryBudget = 1<<20, 4<<20 }, upstream.URL)
	refused := func() float64 { return r.Figure(t, "weir_requests_over_bound_total", "bound", "memory") }
	for _, size := range []int{1 << 20, 500 << 10, 250 << 10, 120 << 10, 60 << 10, 30 << 10, 15 << 10, 1 << 10} { // what fits fills the budget
		for range 4 {
			inFlight, before := r.View(t).InFlight, refused()
			r.Begin(t, fmt.Sprintf("POST /v1/rerank HTTP/1.1\r\nHost: weir\r\nX-Slow: yes\r\nx-llm-d-inference-fairness-id: greedy\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
			rig.Eventually(t, func() string {
				if r.View(t).InFlight == inFlight && refused() == before {
					return "a request neither goes nor is refused"
				}
				return ""
			})
		}
	}
	for range 3 {
		if res, body := r.Post(t, "/v1/rerank", strings.Repeat("x", 200<<10), headers.Flow[0], "honest"); res.StatusCode != http.StatusOK {
			t.Errorf("%d %s for a flow that holds nothing", res.StatusCode, body)
		}
	}
}
