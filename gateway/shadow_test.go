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
	const took, requests = 150 * time.Millisecond, 4
	var now, most atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(took)
		now.Add(-1)
		fmt.Fprint(w, `{"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	}))
	t.Cleanup(server.Close)
	r := rig.With(t, 1, []controller.Option{controller.WithTTL(2*took+took/2, time.Minute)}, func(c *rig.Config) { c.Shadow = true }, server.URL)
	all := func() (ok int64) {
		var count atomic.Int64
		var running sync.WaitGroup
		for range requests {
			running.Go(func() {
				if res, _ := r.Post(t, "/v1/completions", `{"model":"m","prompt":"x"}`); res.StatusCode == http.StatusOK {
					count.Add(1)
				}
			})
		}
		running.Wait()
		return count.Load()
	}
	if ok := all(); ok != requests || most.Load() < 2 {
		t.Errorf("%d of %d were answered, at most %d at once; want all, and not one after the other", ok, requests, most.Load())
	}
	if res, _ := r.Post(t, "/v1/completions", `not JSON`); res.StatusCode != http.StatusOK {
		t.Errorf("a request that would be refused was answered %d", res.StatusCode)
	}
	count := func(outcome string) float64 {
		return rig.Figure(t, r.Pool.Shadow(), "weir_shadow_requests_total", "fairness_id", "default-flow", "outcome", outcome)
	}
	rig.Eventually(t, func() string {
		if played := count("Dispatched") + count("EvictedTTL"); played < requests+1 {
			return fmt.Sprintf("%v of %d requests were played", played, requests+1)
		}
		return ""
	})
	// One at a time: the third waits for two others, and a fourth gives up.
	if count("Dispatched") < 3 || count("EvictedTTL") < 1 {
		t.Errorf("%v would have gone and %v been refused; want at least 3 and 1", count("Dispatched"), count("EvictedTTL"))
	}
	sent := make(chan int64)
	go func() { sent <- all() }()
	for played := int64(-1); played != 1; time.Sleep(time.Millisecond) { // of four that are in flight
		if r.Pool.Flows(func(_ policies.FlowKey, f flows.Figures) { played = f.InFlight }); played > 1 {
			t.Fatalf("%d in flight as played, at a limit of 1", played)
		}
	}
	<-sent
	v, err := r.Control.View(t.Context())
	if err != nil || v.Totals.InFlight > 1 {
		t.Errorf("%d are played in flight at a limit of 1, %v", v.Totals.InFlight, err)
	}

	r.Pool.Shadow().Set(false)
	r.Settled(t, "default-flow")
	r.Pool.Flows(func(key policies.FlowKey, f flows.Figures) {
		if f.InFlight != 0 {
			t.Errorf("%v has %d in flight, where none is", key, f.InFlight)
		}
	})
	if v, err := r.Control.View(t.Context()); err != nil || v.InFlight != 0 || v.Waiting != 0 {
		t.Errorf("once nothing is played, %d are in flight and %d wait, %v", v.InFlight, v.Waiting, err)
	}
	most.Store(0)
	if ok := all(); ok == requests || most.Load() != 1 {
		t.Errorf("once it holds, %d of %d were answered, %d at once; want one to be refused, and one at a time", ok, requests, most.Load())
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
	case <-time.After(10 * time.Second):
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
