package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
)

// TestRequestsAreReused wants requests that come and go to take no new memory: what one was is
// used again for another.
func TestRequestsAreReused(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	cfg := configured(fairness.NewRoundRobin("rr"))
	band := cfg.Shard.Band(0)
	cfg.Shard.Band = func(int) shard.BandConfig { return band }
	c, _, exchange := withLedger(&now, cfg)
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 10})
	exchange()
	seq := uint64(0)
	ask := func() {
		seq++
		c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a"}})
		exchange()
		c.Release(now, seq, core.Usage{})
		exchange()
	}
	if n := testing.AllocsPerRun(1000, ask); n > 0 {
		t.Errorf("%v allocations for a request that comes and goes", n)
	}
}
