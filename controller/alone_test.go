package controller

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/policytest"
)

// TestAlone has a replica that shares its ledger with no other let requests go by itself, also
// where there is a choice of endpoints: they take hardly a turn, one at a time go to the
// endpoints in rotation, and together go evenly from the first on.
func TestAlone(t *testing.T) {
	t.Parallel()
	const endpoints, each, callers = 8, 50, 64
	c := newBench(t, fairness.RoundRobinType, 1000)
	var all []policies.EndpointAccessor
	for i := range endpoints {
		all = append(all, policytest.Endpoint{Name: fmt.Sprint("e", i)})
	}
	c.Observe(context.Background(), all)
	enqueue := func() *Request {
		r := &Request{Flow: policies.FlowKey{ID: "a"}, Bytes: 1}
		if outcome, err := c.EnqueueAndWait(t.Context(), r); outcome != Dispatched {
			t.Errorf("%v: %v", outcome, err)
		}
		return r
	}
	before, _ := c.Turns()
	got := make(map[string]int)
	for range endpoints * each {
		r := enqueue()
		at, _ := r.Granted()
		got[at.Endpoint]++
		c.Release(r, Usage{})
	}
	after, _ := c.Turns()
	per := float64(after-before) / (endpoints * each)
	if t.Logf("%.3f turns a request", per); per > 0.2 {
		t.Errorf("%.2f turns a request, of which nobody waits for any", per)
	}
	for name, n := range got {
		if n < each-2 || n > each+2 {
			t.Errorf("%d of %d requests went to %s, want %d", n, endpoints*each, name, each)
		}
	}

	var mu sync.Mutex
	clear(got)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			at, _ := enqueue().Granted()
			mu.Lock()
			got[at.Endpoint]++
			mu.Unlock()
		})
	}
	wg.Wait()
	for name, n := range got {
		if n > callers/endpoints+2 {
			t.Errorf("%d of %d requests in flight are at %s, want %d", n, callers, name, callers/endpoints)
		}
	}
}
