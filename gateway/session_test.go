package gateway_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/policies/eviction"
)

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
	r := rig.With(t, 2, []controller.Option{
		controller.WithEviction(eviction.NewSheddable("s"), eviction.NewPriorityThenTime("o")),
	}, nil, upstream.URL)
	revoked := func() bool { return r.Figure(t, "weir_flow_control_revocations_total") > 0 }
	until := time.Now().Add(20 * time.Second)
	var clients sync.WaitGroup
	for i := range 8 {
		objective := [...]string{"sheddable", "urgent"}[i%2]
		clients.Go(func() {
			for n := 0; n < 20 || !revoked() && time.Now().Before(until); n++ {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(rig.Chat))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("x-llm-d-inference-objective", objective)
				if res, err := r.Client.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			}
		})
	}
	clients.Wait()
	r.NothingHeld(t)
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
	r := rig.New(t, 1, upstream.URL)
	var first sync.WaitGroup
	first.Go(func() { r.Post(t, "/v1/completions", `{"model":"m","prompt":"x"}`) })
	defer first.Wait()
	defer close(hold)
	select {
	case <-begun:
	case <-time.After(30 * time.Second):
		t.Fatal("the first request has not reached the server")
	}
	res, body := r.Post(t, "/v1/completions", `{"model":"m","prompt":"x"}`, "x-llm-d-inference-ttl", "20ms")
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
	r := rig.New(t, 1, upstream.URL)
	for range 2000 {
		r.Pool.Learn(controller.Usage{InputTokens: 100, OutputTokens: 400}, 2*time.Second)
	}
	began := time.Now()
	r.Post(t, "/v1/rerank", `{"documents":"`+strings.Repeat("x", 4000)+`"}`, headers.Flow[0], "a")
	f := r.Settled(t, "a")
	most := 1000 + 100 + int64(250*time.Since(began).Seconds()) // 500 tokens in 2 s, and a tenth of the bytes' beside
	if f.ServedTokens < 1000+20 || f.ServedTokens > most {
		t.Errorf("%+v, want 1,000 tokens for the bytes and at least 20 for the time, %d in all at most", f, most)
	}
}
