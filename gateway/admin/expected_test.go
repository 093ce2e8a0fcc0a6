package admin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/policies"
)

// TestExpectedWaits holds the waits that requests are told to expect against those that they
// have then, under a steady load of tenants who want more than there is and one who does
// not, over three replicas: 80% are within 25%.
func TestExpectedWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 3, 12)
		ctx, stop := context.WithCancel(t.Context())
		var (
			mu      sync.Mutex
			went    = make(map[string]time.Time) // requests that were dispatched, by name
			workers sync.WaitGroup
		)
		defer workers.Wait()
		defer stop()
		random := rand.New(rand.NewPCG(1, 2))
		work := func(at *controller.Controller, flow string, worker int) {
			for n := 0; ctx.Err() == nil; n++ {
				r := &controller.Request{Flow: policies.FlowKey{ID: flow}, Name: fmt.Sprint(flow, "-", worker, "-", n)}
				if outcome, _ := at.EnqueueAndWait(ctx, r); outcome != controller.Dispatched {
					return
				}
				mu.Lock()
				went[r.Name] = time.Now()
				took := time.Duration(random.Int64N(int64(200*time.Millisecond))) + 50*time.Millisecond
				mu.Unlock()
				time.Sleep(took)
				at.Release(r, controller.Usage{Known: true, InputTokens: 1})
			}
		}
		for flow, tenant := range []struct {
			workers int
			at      string // one replica, whose queue it has: these replicas hand nothing over
		}{{60, "a"}, {25, "b"}, {40, "c"}, {2, "c"}} {
			for i := range tenant.workers {
				workers.Go(func() { work(f.replicas[tenant.at].control, fmt.Sprint("tenant-", flow), i) })
			}
		}
		time.Sleep(time.Minute) // until the load is steady

		type expectation struct {
			name     string
			asked    time.Time
			expected time.Duration
		}
		var told []expectation
		for len(told) < 200 {
			time.Sleep(100 * time.Millisecond)
			var waiting api.Requests
			f.replicas["a"].get(t, "/v1/requests?state=waiting&limit=1000", 200, &waiting)
			if len(waiting.Requests) == 0 {
				continue
			}
			mu.Lock()
			one := waiting.Requests[random.IntN(len(waiting.Requests))]
			mu.Unlock()
			asked := time.Now()
			why, err := f.replicas["b"].request(ctx, &query{id: one.ID})
			if errors.Is(err, errNotFound) || err == nil && (why.Why == nil || why.Why.ExpectedMS == nil) {
				continue // it went meanwhile
			}
			if err != nil {
				t.Fatal(err)
			}
			told = append(told, expectation{one.ID, asked, time.Duration(*why.Why.ExpectedMS) * time.Millisecond})
		}
		time.Sleep(30 * time.Second) // until they went
		stop()
		workers.Wait()

		near := 0
		for _, e := range told {
			if real := went[e.name].Sub(e.asked); math.Abs(float64(e.expected-real)) <= 0.25*float64(real) {
				near++
			}
		}
		t.Logf("of %d expected waits %d are within 25%% of the real ones", len(told), near)
		if near < len(told)*8/10 {
			t.Errorf("of %d expected waits only %d are within 25%% of the real ones", len(told), near)
		}
	})
}
