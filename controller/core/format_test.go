package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// TestBesideAnotherVersion has two replicas of another version keep the ledger, under a limit
// of 12, while this one starts: it lets nothing go before they say what they hold, then no
// more than they have left of the limit by then, and its share in the end.
func TestBesideAnotherVersion(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := core.New(core.Config{
		Replica: "me", Incarnation: 1, InFleet: true, UsageLimit: part(1), Timings: core.DefaultTimings(3 * time.Second),
		Shard: shard.Config{Shards: 16, OffersPerBand: 4, Idle: time.Minute, Band: func(int) shard.BandConfig {
			return shard.BandConfig{MaxRequests: 100, MaxBytes: 1000, Fairness: fairness.NewRoundRobin("rr"), Ordering: ordering.NewFCFS("fcfs")}
		}},
	})
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 12})
	for seq := range 20 {
		c.Enqueue(now, core.Request{Seq: uint64(seq + 1), Flow: policies.FlowKey{ID: "a"}})
	}
	members := coordinator.Members{Live: []coordinator.Member{
		{ID: "me", Incarnation: 1, Leaseholder: true},
		{ID: "old-1", Incarnation: 1, Leaseholder: true},
		{ID: "old-2", Incarnation: 1, Leaseholder: true},
	}}
	inFlight := 0
	for _, step := range []struct {
		held int64
		want int
	}{
		{-1, 0}, // not asked yet, or too old to say
		{12, 0},
		{11, 1},
		{9, 3},
		{8, 4},
		{2, 4}, // the rest is theirs
	} {
		for range 10 {
			now = now.Add(500 * time.Millisecond)
			c.SetMembers(now, members)
			c.Tick(now)
			for ready, n := c.Ready(now), 0; n < 5; ready, n = c.Ready(now), n+1 {
				inFlight += len(ready.Decisions)
				if ready.Turn != nil {
					c.TurnDone(now, nil, &store.OtherFormatError{Format: "0123abcd", Held: step.held})
				}
			}
		}
		if inFlight != step.want {
			t.Errorf("while the others hold %d of 12, %d are in flight here, want %d", step.held, inFlight, step.want)
		}
	}
}
