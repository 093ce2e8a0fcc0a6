package controller

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/eviction"
	"github.com/weirflow/weir/policies/fairness"
)

// TestEviction has one important request wait at a pool full of sheddable ones: the
// newest is revoked, and no other.
func TestEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBench(t, fairness.RoundRobinType, 3, WithEviction(eviction.NewSheddable("f"), eviction.NewPriorityThenTime("o")))
		var revoked []int
		var mu sync.Mutex
		var held sync.WaitGroup
		for n, priority := range []int{-1, -1, 0} {
			r := &Request{Flow: policies.FlowKey{ID: "batch", Priority: priority}}
			dispatch(t, c, r)
			held.Go(func() {
				select {
				case <-r.Revoked():
					mu.Lock()
					revoked = append(revoked, n)
					mu.Unlock()
				case <-time.After(10 * time.Second):
				}
				c.Release(r, Usage{})
			})
			time.Sleep(time.Millisecond)
		}
		began := time.Now()
		important := &Request{Flow: policies.FlowKey{ID: "user", Priority: 5}}
		dispatch(t, c, important)
		if waited := time.Since(began); waited > 100*time.Millisecond {
			t.Errorf("an important request waited %v", waited)
		}
		if important.Revoked() != nil {
			t.Error("a request of priority 5 can be revoked")
		}
		low := &Request{Flow: policies.FlowKey{ID: "batch", Priority: -1}, TTL: 50 * time.Millisecond}
		if outcome, _ := c.EnqueueAndWait(t.Context(), low); outcome != EvictedTTL {
			t.Errorf("a sheddable request beside others of its priority: %v", outcome)
		}
		held.Wait()
		if len(revoked) != 1 || revoked[0] != 1 {
			t.Errorf("revoked %v, want the newest sheddable one, 1", revoked)
		}
		c.Release(important, Usage{})
	})
}

// TestEvictionByReload turns eviction on while a request waits: it can be revoked once it
// was dispatched.
func TestEvictionByReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBench(t, fairness.RoundRobinType, 1)
		first, batch := request("first"), &Request{Flow: policies.FlowKey{ID: "batch", Priority: -1}}
		dispatch(t, c, first)
		var held sync.WaitGroup
		held.Go(func() {
			dispatch(t, c, batch)
			select {
			case <-batch.Revoked():
			case <-time.After(10 * time.Second):
				t.Error("a request that waited when eviction was turned on is not told that it is revoked")
			}
			c.Release(batch, Usage{})
		})
		synctest.Wait()
		if err := c.Reconfigure(WithEviction(eviction.NewSheddable("f"), eviction.NewPriorityThenTime("o"))); err != nil {
			t.Fatal(err)
		}
		c.Release(first, Usage{})
		synctest.Wait()
		important := request("user")
		dispatch(t, c, important)
		c.Release(important, Usage{})
		held.Wait()
	})
}
