package controller

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/weirflow/weir/policies/fairness"
)

// TestAllocations bounds what a request allocates on its whole way, in one process, whether
// or not it waits: the caller's request, and nothing more. What the core and the ledger keep of
// it is reused, and a turn allocates nothing.
func TestAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes minutes under the race detector")
	}
	const workers, ops, most = 10, 2000, 2
	for _, limit := range []int{0, 1, 100} {
		c, ks := newBench(t, fairness.RoundRobinType, limit), keys(10, 8)
		run := func() {
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for op := range ops {
						r := &Request{Flow: ks[(w+op)%len(ks)], Bytes: 1024}
						if outcome, err := c.EnqueueAndWait(context.Background(), r); outcome != Dispatched {
							t.Errorf("%v: %v", outcome, err)
							return
						}
						c.Release(r, Usage{})
					}
				})
			}
			wg.Wait()
		}
		run() // until what is reused is there
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		run()
		runtime.ReadMemStats(&after)
		perRequest := float64(after.Mallocs-before.Mallocs) / (workers * ops)
		t.Logf("a limit of %d: %.1f allocations a request", limit, perRequest)
		if perRequest > most {
			t.Errorf("a limit of %d: %.1f allocations a request, want at most %d", limit, perRequest, most)
		}
	}
}
