package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/policies"
)

// TestShadow wants every request to go at once while flow control is only played, what it
// would have done to be told, and all of it to hold once it is turned off.
func TestShadow(t *testing.T) {
	var now, most atomic.Int64
	var hold atomic.Pointer[chan struct{}] // what answers wait for, if anything
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if until := hold.Load(); until != nil {
			<-*until
		}
		now.Add(-1)
		fmt.Fprint(w, `{"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	}))
	t.Cleanup(server.Close)
	r := rig.With(t, 1, []controller.Option{controller.WithTTL(time.Minute, time.Minute)}, func(c *rig.Config) { c.Shadow = true }, server.URL)
	inFlight := func() (n int64) { // as played, while it is
		r.Pool.Flows(func(_ policies.FlowKey, f flows.Figures) { n = f.InFlight })
		return n
	}
	// four sends one request, two that wait for it, and one that does not wait for long; the server answers
	// once what is to be seen meanwhile is there. It returns how many were answered well.
	four := func(missing func(answered int64) string) int64 {
		until := make(chan struct{})
		answer := sync.OnceFunc(func() { close(until) })
		defer answer()
		hold.Store(&until)
		var answered, ok atomic.Int64
		var running sync.WaitGroup
		send := func(headers ...string) {
			running.Go(func() {
				if res, _ := r.Post(t, "/v1/completions", `{"model":"m","prompt":"x"}`, headers...); res.StatusCode == http.StatusOK {
					ok.Add(1)
				}
				answered.Add(1)
			})
		}
		send()
		rig.Eventually(t, func() string {
			if n := inFlight(); n != 1 || now.Load() != 1 {
				return fmt.Sprintf("%d in flight, %d at the server, want 1", n, now.Load())
			}
			return ""
		})
		send()
		send()
		r.Waiting(t, 2)
		send("x-llm-d-inference-ttl", "20ms")
		rig.Eventually(t, func() string { return missing(answered.Load()) })
		if n := inFlight(); n != 1 {
			t.Errorf("%d in flight at a limit of 1", n)
		}
		if v := r.View(t); v.Totals.InFlight != 1 || v.Waiting != 2 {
			t.Errorf("%d in flight and %d waiting, want 1 and 2", v.Totals.InFlight, v.Waiting)
		}
		answer()
		running.Wait()
		return ok.Load()
	}
	count := func(outcome string) int {
		return int(rig.Figure(t, r.Pool.Shadow(), "weir_shadow_requests_total", "fairness_id", "default-flow", "outcome", outcome))
	}
	shadowed := func() {
		t.Helper()
		before := count("EvictedTTL")
		if ok := four(func(int64) string {
			if now.Load() < 4 || count("EvictedTTL") == before {
				return fmt.Sprintf("%d of 4 requests are at the server, %d were refused as played", now.Load(), count("EvictedTTL")-before)
			}
			return ""
		}); ok != 4 {
			t.Errorf("%d of 4 requests were answered", ok)
		}
	}
	shadowed()
	if res, _ := r.Post(t, "/v1/completions", `not JSON`); res.StatusCode != http.StatusOK {
		t.Errorf("a request that would be refused was answered %d", res.StatusCode)
	}
	rig.Eventually(t, func() string {
		if v := r.View(t); v.InFlight > 0 || v.Waiting > 0 {
			return fmt.Sprintf("%d in flight and %d waiting as played, when all have been answered", v.InFlight, v.Waiting)
		}
		return ""
	})
	// One at a time: two wait for the first, and a fourth gives up.
	if count("Dispatched") != 3+1 || count("EvictedTTL") != 1 {
		t.Errorf("%d would have gone and %d been refused; want 4 and 1", count("Dispatched"), count("EvictedTTL"))
	}

	shadowed() // two are still played
	r.Pool.Shadow().Set(false)
	r.Settled(t, "default-flow")
	if n := inFlight(); n != 0 {
		t.Errorf("%d in flight, where none is", n)
	}
	if v := r.View(t); v.InFlight != 0 || v.Waiting != 0 {
		t.Errorf("once nothing is played, %d are in flight and %d wait", v.InFlight, v.Waiting)
	}
	most.Store(0)
	ok := four(func(answered int64) string {
		if answered < 1 {
			return "no request was refused"
		}
		return ""
	})
	if ok != 3 || most.Load() != 1 {
		t.Errorf("once it holds, %d of 4 were answered well, %d at once; want one to be refused, and one at a time", ok, most.Load())
	}
	if res, _ := r.Post(t, "/v1/completions", `not JSON`); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a request that is refused was answered %d", res.StatusCode)
	}
}

// bounding is a detector by which each endpoint has a limit, and which says nothing of the
// pool while it may not.
type bounding struct{ *rig.Blocking }

func (b *bounding) InFlightLimit([]policies.EndpointAccessor) int { return 100 }

func (b *bounding) EndpointLimit(policies.EndpointAccessor) int { return 100 }

// TestShadowDoesNotAsk wants a request that goes at once to do so although flow control,
// which bounds each endpoint, takes nothing in.
func TestShadowDoesNotAsk(t *testing.T) {
	detector := &bounding{rig.NewBlocking()}
	detector.Until <- struct{}{} // one look, from which the endpoints have their limits
	r := rig.With(t, 1, []controller.Option{controller.WithSaturationDetector(detector)}, func(c *rig.Config) { c.Shadow = true }, rig.ModelServer(t), rig.ModelServer(t))
	for !r.Control.Bounded() {
		time.Sleep(time.Millisecond)
	}
	defer close(detector.Until)
	r.Pool.Observe()
	answered := make(chan int, 1)
	go func() {
		res, _ := r.Post(t, "/v1/completions", `{"model":"m","prompt":"x"}`)
		answered <- res.StatusCode
	}()
	select {
	case code := <-answered:
		if code != http.StatusOK {
			t.Errorf("it was answered %d", code)
		}
	case <-time.After(30 * time.Second):
		t.Error("it waits for flow control")
	}
}

// TestShadowOfNewcomers wants newcomers, who share a flow, to take turns in it as played.
func TestShadowOfNewcomers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done() // all are in flight until the test has seen them
	}))
	t.Cleanup(server.Close)
	r := rig.With(t, 1, nil, func(c *rig.Config) {
		c.Shadow, c.Rules.Newcomers = true, flows.Newcomers{For: time.Minute}
	}, server.URL)
	r.Pool.SetFlows(flows.NewTable(time.Now().Add(-time.Hour))) // or whoever comes now counts as known
	ctx, end := context.WithCancel(t.Context())
	var sent sync.WaitGroup
	defer sent.Wait()
	defer end()
	all := func(*controller.RequestView) bool { return true }
	for i, tenant := range []string{"many", "many", "many", "few"} {
		sent.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/v1/completions", strings.NewReader(rig.Chat))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("x-llm-d-inference-fairness-id", tenant)
			req.Header.Set("x-request-id", fmt.Sprint(tenant, i))
			if res, err := r.Client.Do(req); err == nil {
				_ = res.Body.Close()
			}
		})
		for n := 0; n <= i; time.Sleep(time.Millisecond) {
			_, n, _ = r.Control.Requests(t.Context(), all, 0)
		}
	}
	waiting, _, err := r.Control.Requests(t.Context(), func(v *controller.RequestView) bool { return v.Name == "few3" }, 1)
	if err != nil || len(waiting) != 1 {
		t.Fatalf("%v, %v", waiting, err)
	}
	place, here, err := r.Control.PlaceOf(t.Context(), waiting[0].ID)
	if err != nil || !here || place.Ahead > 1 {
		t.Errorf("the newcomer with one request has %d of one with three before it, %v, %v; want at most 1", place.Ahead, here, err)
	}
}
