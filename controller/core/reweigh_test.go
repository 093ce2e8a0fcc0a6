package core_test

import (
	"context"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

// TestGroupsAreChargedWhateverAFlowWeighs changes a flow's weight while a request of it is in
// flight: its group has been charged the one request all the same.
func TestGroupsAreChargedWhateverAFlowWeighs(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ledger := memory.New(memory.Config{Clock: func() time.Time { return now }})
	weight := 1.0
	cfg := core.Config{
		Replica: "r", Incarnation: 1, UsageLimit: part(1), Timings: core.DefaultTimings(3 * time.Second),
		Shard: shard.Config{
			Shards: 16, OffersPerBand: 4, Idle: time.Minute,
			Weight: func(policies.FlowKey) float64 { return weight },
			Groups: func(string) []shard.Group { return []shard.Group{{Path: "g", Weight: 1}} },
			Band: func(int) shard.BandConfig {
				return shard.BandConfig{MaxRequests: 100, MaxBytes: 1000, Fairness: fairness.NewWeightedRoundRobin("rr"), Ordering: ordering.NewFCFS("fcfs")}
			},
		},
	}
	c := core.New(cfg)
	c.SetMembers(now, coordinator.Members{Live: []coordinator.Member{{ID: "r", Incarnation: 1, Leaseholder: true}}})
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 8})
	var settled, counter float64
	exchange := func() {
		for ready := c.Ready(now); ready.Turn != nil; ready = c.Ready(now) {
			reply, err := ledger.Turn(context.Background(), ready.Turn)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range ready.Turn.Settlements {
				settled += s.Delta
			}
			for _, g := range reply.Groups {
				counter = g.Counter
			}
			c.TurnDone(now, reply, err)
		}
	}
	exchange()
	c.Enqueue(now, core.Request{Seq: 1, Flow: policies.FlowKey{ID: "a"}})
	exchange()
	weight = 10
	c.Reconfigure(now, cfg)
	c.Release(now, 1, core.Usage{Known: true, InputTokens: 1, OutputTokens: 1})
	for range 4 {
		now = now.Add(300 * time.Millisecond)
		c.Tick(now)
		exchange()
	}
	if counter != 1 {
		t.Errorf("after one request the group stands at %g, and %g was settled with the flow, want 1", counter, settled)
	}
}
