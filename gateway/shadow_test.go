package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/weirflow/weir/controller"
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
	r := newRigWith(t, 1, []controller.Option{controller.WithTTL(2*took+took/2, time.Minute)}, func(c *rigConfig) { c.Shadow = true }, server.URL)
	all := func() (ok int64) {
		var count atomic.Int64
		var running sync.WaitGroup
		for range requests {
			running.Go(func() {
				if res, _ := r.post(t, "/v1/completions", `{"model":"m","prompt":"x"}`); res.StatusCode == http.StatusOK {
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
	if res, _ := r.post(t, "/v1/completions", `not JSON`); res.StatusCode != http.StatusOK {
		t.Errorf("a request that would be refused was answered %d", res.StatusCode)
	}
	s := r.pool.shadow
	count := func(outcome string) float64 { return testutil.ToFloat64(s.outcomes.WithLabelValues("0", outcome)) }
	for began := time.Now(); count("Dispatched")+count("EvictedTTL") < requests+1; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("not every request was played")
		}
	}
	// One at a time: the third waits for two others, and a fourth gives up.
	if count("Dispatched") < 3 || count("EvictedTTL") < 1 {
		t.Errorf("%v would have gone and %v been refused; want at least 3 and 1", count("Dispatched"), count("EvictedTTL"))
	}
	v, err := r.control.View(t.Context())
	if err != nil || v.Totals.InFlight > 1 {
		t.Errorf("%d are played in flight at a limit of 1, %v", v.Totals.InFlight, err)
	}

	r.pool.SetShadow(false)
	most.Store(0)
	if ok := all(); ok == requests || most.Load() != 1 {
		t.Errorf("once it holds, %d of %d were answered, %d at once; want one to be refused, and one at a time", ok, requests, most.Load())
	}
	if res, _ := r.post(t, "/v1/completions", `not JSON`); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a request that is refused was answered %d", res.StatusCode)
	}
}
