package controller

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
)

// TestReconfigure changes policy, weights and caps under 60 waiting requests: none
// is lost, although the cap is lower now, and they go by the new policy.
func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBench(t, fairness.GlobalStrictType, 1)
		held := request("first")
		dispatch(t, c, held)
		var waiting sync.WaitGroup
		var mu sync.Mutex
		var order []string
		for i := range 60 {
			flow := "a"
			if i >= 30 {
				flow = "b"
			}
			waiting.Go(func() {
				r := request(flow)
				dispatch(t, c, r)
				mu.Lock()
				order = append(order, flow)
				mu.Unlock()
				c.Release(r, Usage{})
			})
			synctest.Wait() // a's come first
		}
		if err := c.Reconfigure(
			WithDefaultBand(shard.BandConfig{MaxRequests: 10, Fairness: fairness.NewRoundRobin("rr")}),
			WithWeights(func(k policies.FlowKey) float64 {
				if k.ID == "b" {
					return 2
				}
				return 1
			}),
			WithTTL(time.Hour, time.Hour),
		); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if outcome, _ := c.EnqueueAndWait(t.Context(), request("a")); outcome != RejectedCapacity {
			t.Errorf("above the new cap: %v", outcome)
		}
		time.Sleep(2 * time.Minute) // longer than the old TTL
		c.Release(held, Usage{})
		waiting.Wait()
		if len(order) != 60 {
			t.Fatalf("%d of 60 were dispatched", len(order))
		}
		if got := strings.Count(strings.Join(order[:30], ""), "b"); got < 19 || got > 21 {
			t.Errorf("b of weight 2 got %d of the first 30, want 20: %v", got, order[:30])
		}
		if err := c.Reconfigure(WithOffers(0)); err == nil {
			t.Error("a configuration that cannot be was taken")
		}
	})
}
