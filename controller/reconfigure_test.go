package controller

import (
	"context"
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

// TestReconfigureLeavesOut wants an option that is left out to hold as the controller was made
// with it, whatever was said meanwhile, and bands that are left out to be gone.
func TestReconfigureLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		band := WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr"), MaxRequests: 2})
		c := newBench(t, fairness.RoundRobinType, 1, WithCapacity(4, 0), band)
		dispatch(t, c, request("first"))
		var waiting sync.WaitGroup
		ctx, end := context.WithCancel(t.Context())
		defer waiting.Wait()
		defer end()
		for _, step := range []struct {
			what    string
			options []Option
			room    int // for how many that wait
		}{
			{"as it was made", []Option{band}, 2},
			{"without its band", nil, 4},
			{"with more room", []Option{WithCapacity(6, 0)}, 6},
			{"without a word of room", nil, 4},
		} {
			if err := c.Reconfigure(step.options...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			for c.Waiting() < step.room {
				before := c.Waiting()
				waiting.Go(func() { _, _ = c.EnqueueAndWait(ctx, request("a")) })
				if synctest.Wait(); c.Waiting() == before {
					break
				}
			}
			if n := c.Waiting(); n < step.room {
				t.Errorf("%s: %d wait, want room for %d", step.what, n, step.room)
			}
			if outcome, _ := c.EnqueueAndWait(t.Context(), request("a")); outcome != RejectedCapacity {
				t.Errorf("%s: one more than %d: %v", step.what, step.room, outcome)
			}
		}
	})
}
