package gateway_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/gateway/shadow"
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

// TestShadowForetells wants the report of what flow control would do to be what it then does
// with the same load: each tenant's share, refusals and waits. If it is not, it looks twice
// again: others may have taken the machine during one of the two.
func TestShadowForetells(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 7 s, and measures time")
	}
	var off []string
	for range 3 {
		if off = foretold(t); len(off) == 0 {
			return
		}
		t.Log("off: ", off)
	}
	t.Error(off)
}

// foretold plays a load in shadow, then sends it again with flow control, and returns in what
// the report of the first is off.
func foretold(t *testing.T) (off []string) {
	const took, limit, lasting = 100 * time.Millisecond, 4, 3 * time.Second
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(took)
		fmt.Fprint(w, `{"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	}))
	t.Cleanup(server.Close)
	r := rig.With(t, limit, []controller.Option{controller.WithTTL(time.Minute, time.Minute), controller.WithCapacity(30, 0)},
		func(c *rig.Config) { c.Shadow = true }, server.URL)
	every := map[string]time.Duration{"greedy": 16 * time.Millisecond, "modest": 65 * time.Millisecond, "small": 130 * time.Millisecond} // twice what the pool takes
	type got struct {
		served, refused int
		waited          time.Duration
	}
	load := func() map[string]*got {
		var mu sync.Mutex
		all := make(map[string]*got)
		var running sync.WaitGroup
		began := time.Now()
		for id, gap := range every {
			all[id] = &got{}
			running.Go(func() {
				for next := began; next.Sub(began) < lasting; next = next.Add(gap) {
					time.Sleep(time.Until(next))
					running.Go(func() {
						res, _ := r.Post(t, "/v1/completions", `{"model":"m","prompt":"x"}`, "x-llm-d-inference-fairness-id", id)
						mu.Lock()
						defer mu.Unlock()
						if res.StatusCode != http.StatusOK {
							all[id].refused++
							return
						}
						all[id].served++
						ms, _ := strconv.Atoi(res.Header.Get(gateway.QueueDurationHeader)) // there is none in shadow
						all[id].waited += time.Duration(ms) * time.Millisecond
					})
				}
			})
		}
		running.Wait()
		return all
	}
	for id, g := range load() {
		if g.refused > 0 {
			t.Fatalf("%d requests of %s were refused in shadow", g.refused, id)
		}
	}
	decided := func(f shadow.Figures) int64 { return f.Dispatched + f.Refused + f.Evicted }
	var report shadow.Report
	rig.Eventually(t, func() string {
		report = r.Pool.Shadow().Report()
		left := int64(0)
		for _, f := range report.Flows {
			left += f.Requests - decided(f)
		}
		if left == 0 {
			return ""
		}
		return fmt.Sprintf("%d requests are still played", left)
	})
	r.Pool.Shadow().Set(false)
	then := load()
	var foretold, served, foretoldTime float64
	for id := range every {
		f := report.Flows[policies.FlowKey{ID: id}]
		foretold += float64(f.Dispatched)
		foretoldTime += f.Granted.Seconds()
		served += float64(then[id].served)
	}
	for id, g := range then {
		f := report.Flows[policies.FlowKey{ID: id}]
		refused := [2]float64{float64(f.Refused+f.Evicted) / float64(decided(f)), float64(g.refused) / float64(g.refused+g.served)}
		share := [3]float64{float64(f.Dispatched) / foretold, float64(g.served) / served, f.Granted.Seconds() / foretoldTime}
		wait := [2]time.Duration{f.Waited / time.Duration(max(f.Dispatched, 1)), g.waited / time.Duration(max(g.served, 1))}
		t.Logf("%s: share %.3f foretold (%.3f of the time), %.3f then; refused %.3f, %.3f; mean wait %v, %v", id, share[0], share[2], share[1], refused[0], refused[1], wait[0], wait[1])
		if math.Abs(share[0]-share[1]) > 0.05 || math.Abs(share[2]-share[1]) > 0.05 || math.Abs(refused[0]-refused[1]) > 0.05 {
			off = append(off, id+": by more than 5%")
		}
		if d := (wait[0] - wait[1]).Abs(); d > wait[1]/20+50*time.Millisecond {
			off = append(off, fmt.Sprintf("%s: waits by %v", id, d))
		}
	}
	return off
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
