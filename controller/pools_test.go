package controller

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
)

// TestTwoPools shares one policy between two bands of two pools in one process: what
// one serves moves nobody's place in the others.
func TestTwoPools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := fairness.NewRoundRobin("shared")
		options := []Option{
			WithDefaultBand(shard.BandConfig{Fairness: shared}), WithBand(5, shard.BandConfig{Fairness: shared}),
		}
		one, other := newBench(t, fairness.RoundRobinType, 1, options...), newBench(t, fairness.RoundRobinType, 1, options...)
		for range 20 { // a is far ahead in the other pool, and in this one's other band
			for _, c := range []*Controller{one, other} {
				r := &Request{Flow: policies.FlowKey{ID: "a", Priority: 5}}
				if c == other {
					r.Flow.Priority = 0
				}
				dispatch(t, c, r)
				c.Release(r, Usage{})
			}
		}
		held := request("held")
		dispatch(t, one, held)
		order := make(chan string, 8)
		for range 4 {
			for _, flow := range []string{"a", "b"} {
				go func() {
					r := request(flow)
					if _, err := one.EnqueueAndWait(t.Context(), r); err == nil {
						order <- flow
						one.Release(r, Usage{})
					}
				}()
				synctest.Wait()
			}
		}
		one.Release(held, Usage{})
		synctest.Wait()
		var got []string
		for range 8 {
			got = append(got, <-order)
		}
		if s := strings.Join(got, ""); s != "abababab" && s != "babababa" {
			t.Errorf("served in the order %s, want the flows in turn", s)
		}
	})
}
