package gateway_test

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/policies/eviction"
)

// rawServer is a model server that answers each connection's first request with the
// text, and counts the connections that are still open.
func rawServer(t *testing.T, answer string) (url string, open func() int) {
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

// nothingHeld waits for all memory and all of the replica's slots to be back, in the pool's count and
// at every endpoint.
func (r *rig) nothingHeld(t testing.TB) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		held := 0
		for _, e := range r.pool.Endpoints().Endpoints() {
			held += e.Status().InFlightHere
		}
		v, err := r.control.View(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		memory := r.gateway.MemoryUsed()
		if held == 0 && v.InFlight == 0 && v.Waiting == 0 && memory == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d in flight at endpoints, %d in the pool, %d waiting, %d bytes taken after the last request", held, v.InFlight, v.Waiting, memory)
		}
	}
}

// TestStrangeAnswersReturnSlots wants the slot back and the connection closed after
// answers that net/http's proxy does not copy to the client.
func TestStrangeAnswersReturnSlots(t *testing.T) {
	for name, answer := range map[string]string{
		"switching protocols": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"status 000":          "HTTP/1.1 000 Nothing\r\nContent-Length: 2\r\n\r\nok",
		"status 099":          "HTTP/1.1 099 Less\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			url, open := rawServer(t, answer)
			r := newRig(t, 4, url)
			for range 6 {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/chat/completions", strings.NewReader(chat))
				if err != nil {
					t.Fatal(err)
				}
				res, err := r.client.Do(req)
				if err != nil {
					continue // cut off, as by a server that fails
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusBadGateway {
					t.Errorf("answered %d, want 502", res.StatusCode)
				}
			}
			r.nothingHeld(t)
			for until := time.Now().Add(30 * time.Second); open() > 0; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(until) {
					t.Fatalf("%d connections to the server stay open", open())
				}
			}
		})
	}
}

// TestUpgradesAreRefused wants a request to switch protocols to be answered here and
// now: what comes after it could be neither counted nor ended.
func TestUpgradesAreRefused(t *testing.T) {
	url, open := rawServer(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := newRig(t, 4, url)
	for range 6 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/v1/realtime", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Connection", "keep-alive, Upgrade")
		req.Header.Set("Upgrade", "websocket")
		res, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotImplemented || !strings.Contains(string(body), "upgrade_not_supported") {
			t.Errorf("%d %s, want 501", res.StatusCode, body)
		}
	}
	if n := open(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
	r.nothingHeld(t)
}

// TestOfferedUpgradesArePassedOver wants a request that merely offers HTTP/2, as some
// clients' every request does, to be served as if it did not.
func TestOfferedUpgradesArePassedOver(t *testing.T) {
	r := newRig(t, 1, newModelServer(t))
	res, body := r.post(t, "/v1/chat/completions", chat, "Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
	if res.StatusCode != http.StatusOK {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// TestRevokedWhileAnswering revokes requests at the moments at which their answers begin.
// It is for the race detector, and wants every slot back.
func TestRevokedWhileAnswering(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(time.Duration(rand.IntN(4)) * time.Millisecond):
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, "data: {}\n\n")
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(upstream.Close)
	r := newRigWith(t, 2, []controller.Option{
		controller.WithEviction(eviction.NewSheddable("s"), eviction.NewPriorityThenTime("o")),
	}, nil, upstream.URL)
	revoked := func() bool { return r.figure(t, "weir_flow_control_revocations_total") > 0 }
	until := time.Now().Add(20 * time.Second)
	var clients sync.WaitGroup
	for i := range 8 {
		objective := [...]string{"sheddable", "urgent"}[i%2]
		clients.Go(func() {
			for n := 0; n < 20 || !revoked() && time.Now().Before(until); n++ {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/chat/completions", strings.NewReader(chat))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("x-llm-d-inference-objective", objective)
				if res, err := r.client.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			}
		})
	}
	clients.Wait()
	r.nothingHeld(t)
	if !revoked() {
		t.Error("nothing was revoked")
	}
}

// TestRequestsShortenTheirWait wants a request whose header says so to give up early.
func TestRequestsShortenTheirWait(t *testing.T) {
	begun, hold := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-hold
		_, _ = io.WriteString(w, `{"text":"x"}`)
	}))
	t.Cleanup(upstream.Close)
	r := newRig(t, 1, upstream.URL)
	var first sync.WaitGroup
	first.Go(func() { r.post(t, "/v1/completions", `{"model":"m","prompt":"x"}`) })
	defer first.Wait()
	defer close(hold)
	select {
	case <-begun:
	case <-time.After(30 * time.Second):
		t.Fatal("the first request has not reached the server")
	}
	res, body := r.post(t, "/v1/completions", `{"model":"m","prompt":"x"}`, "x-llm-d-inference-ttl", "20ms")
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get(refusal.ReasonHeader) != "rejected-ttl-expired" {
		t.Errorf("%d, %v: %s", res.StatusCode, res.Header, body)
	}
}

// TestUncountedRequestsCostTheirTime wants a request whose tokens nobody counts to cost what
// its slot's time would have had others' cost, and its bytes at least.
func TestUncountedRequestsCostTheirTime(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(100 * time.Millisecond)
		_, _ = io.WriteString(w, `{"text":"x"}`)
	}))
	t.Cleanup(upstream.Close)
	r := newRig(t, 1, upstream.URL)
	for range 2000 {
		r.pool.Learn(controller.Usage{InputTokens: 100, OutputTokens: 400}, 2*time.Second)
	}
	r.post(t, "/v1/rerank", `{"documents":"`+strings.Repeat("x", 4000)+`"}`, headers.Flow[0], "a")
	if f := r.settled(t, "a"); f.ServedTokens < 1000+20 || f.ServedTokens > 1000+400 {
		t.Errorf("%+v, want 1,000 tokens for the bytes and at least 20 for the time", f)
	}
}
