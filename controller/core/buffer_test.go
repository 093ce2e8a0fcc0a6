package core_test

import (
	"context"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

// TestFullBufferRefusesAtEveryPriority has more come at once than the buffer of all bands
// takes, where nothing waits yet: nobody elsewhere makes room, so what is too much is refused
// when it comes, above the lowest priority as well as at 0.
func TestFullBufferRefusesAtEveryPriority(t *testing.T) {
	for _, priority := range []int{-5, 0, 5} {
		now := time.Unix(1_800_000_000, 0)
		ledger := memory.New(memory.Config{Clock: func() time.Time { return now }})
		c := core.New(core.Config{
			Replica: "me", Incarnation: 1, UsageLimit: part(1), Timings: core.DefaultTimings(3 * time.Second),
			Shard: shard.Config{MaxRequests: 10, Shards: 16, OffersPerBand: 4, Idle: time.Minute, Band: func(int) shard.BandConfig {
				return shard.BandConfig{MaxRequests: 100, MaxBytes: 1000, Fairness: fairness.NewRoundRobin("rr"), Ordering: ordering.NewFCFS("fcfs")}
			}},
		})
		c.SetPool(now, core.Pool{Endpoints: 1, Limit: 0})
		for ready := c.Ready(now); ready.Turn != nil; ready = c.Ready(now) {
			reply, err := ledger.Turn(context.Background(), ready.Turn)
			c.TurnDone(now, reply, err)
		}
		for seq := range uint64(30) {
			c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a", Priority: priority}})
		}
		if refused := len(c.Ready(now).Decisions); refused != 20 {
			t.Errorf("priority %d: %d of 30 were refused at once, want 20", priority, refused)
		}
	}
}
