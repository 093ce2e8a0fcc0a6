package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/shard"
)

// TestDeadlineFollowsTheBudget has a waiting request's budget end with a change of the
// configuration: it has no deadline then.
func TestDeadlineFollowsTheBudget(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	cfg := core.Config{
		Replica: "me", Incarnation: 1, UsageLimit: part(1), Timings: core.DefaultTimings(3 * time.Second), TTL: time.Minute,
		Shard: shard.Config{Shards: 16, OffersPerBand: 4, Idle: time.Minute, Band: func(int) shard.BandConfig {
			return shard.BandConfig{MaxRequests: 10, MaxBytes: 1000, Fairness: fairness.NewRoundRobin("rr"), Ordering: ordering.NewEDF("edf")}
		}},
	}
	c := core.New(cfg)
	deadline := func() (at time.Time) {
		for r := range c.Requests {
			at = r.Deadline
		}
		return at
	}
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 0})
	c.Enqueue(now, core.Request{Seq: 1, Flow: policies.FlowKey{ID: "a"}})
	if at := deadline(); !at.Equal(now.Add(time.Minute)) {
		t.Errorf("the deadline is %v, want a minute from %v", at, now)
	}
	cfg.TTL = 0
	c.Reconfigure(now, cfg)
	if at := deadline(); !at.IsZero() {
		t.Errorf("the deadline of a request that may wait for ever is %v", at)
	}
}
