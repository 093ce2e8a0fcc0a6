package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
)

// TestLineOutlivesWeights changes the configuration under requests that stand in line: they go
// on standing there, unless their flow has a limit now, or their band another policy. All are
// dispatched once, in their order.
func TestLineOutlivesWeights(t *testing.T) {
	heavy := func(policies.FlowKey) float64 { return 3 }
	for name, tc := range map[string]struct {
		edit   func(*core.Config)
		stands bool
	}{
		"the same again":     {func(*core.Config) {}, true},
		"weights of flows":   {func(cfg *core.Config) { cfg.Shard.Weight = heavy }, true},
		"weights of groups":  {func(cfg *core.Config) { cfg.Shard.Groups = inOneGroup(3) }, true},
		"weights of bands":   {func(cfg *core.Config) { cfg.BandWeight = func(int) float64 { return 2 } }, true},
		"a limit of another": {func(cfg *core.Config) { cfg.Shard.Limit = limiting("b") }, true},
		"a limit":            {func(cfg *core.Config) { cfg.Shard.Limit = limiting("a") }, false},
		"a maximum": {func(cfg *core.Config) {
			cfg.Shard.Maxima = map[string]shard.Maximum{"g": {Requests: 3}}
		}, false},
		"a guarantee of its group": {func(cfg *core.Config) { cfg.Shard.Guaranteed = map[string]float64{"g": 0.5} }, false},
		"another policy": {func(cfg *core.Config) {
			cfg.Shard.Band = func(int) shard.BandConfig {
				return shard.BandConfig{MaxRequests: 100, MaxBytes: 1000, Fairness: fairness.NewWeightedRoundRobin("wrr"), Ordering: configured(nil).Shard.Band(0).Ordering}
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			cfg := configured(fairness.NewRoundRobin("rr"))
			cfg.Shard.Groups = inOneGroup(1)
			c, ledger, _ := withLedger(&now, cfg)
			c.SetPool(now, core.Pool{Endpoints: 1, Limit: 3})
			var went, running []uint64
			pass := func(d time.Duration) {
				now = now.Add(d)
				c.Tick(now)
				for ready := c.Ready(now); ; ready = c.Ready(now) {
					for _, decision := range ready.Decisions {
						went, running = append(went, decision.Ticket.Seq), append(running, decision.Ticket.Seq)
					}
					if ready.Turn == nil {
						return
					}
					reply, err := ledger.Turn(t.Context(), ready.Turn)
					c.TurnDone(now, reply, err)
				}
			}
			end := func() {
				c.Release(now, running[0], core.Usage{})
				running = running[1:]
			}
			const all = 12
			c.Enqueue(now, core.Request{Seq: 1, Flow: policies.FlowKey{ID: "a"}})
			pass(time.Millisecond)
			now = now.Add(2 * time.Millisecond)
			end()
			for seq := uint64(2); seq <= all; seq++ {
				c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a"}})
			}
			pass(25 * time.Millisecond)
			pass(25 * time.Millisecond)
			stood := c.InLine()
			if stood == 0 {
				t.Fatalf("nobody stands in line, %d are in flight", c.InFlight())
			}
			tc.edit(&cfg)
			c.Reconfigure(now, cfg)
			if got := c.InLine(); got != stood && tc.stands || got != 0 && !tc.stands {
				t.Errorf("%d stood in line, and now do %d", stood, got)
			}
			for range 4 * all {
				if len(running) > 0 {
					end()
				}
				pass(25 * time.Millisecond)
			}
			if len(went) != all {
				t.Errorf("%d of %d requests went: %v", len(went), all, went)
			}
			for i, seq := range went {
				if seq != uint64(i+1) {
					t.Fatalf("they went as %v", went)
				}
			}
		})
	}
}

// inOneGroup has all flows in one group of that weight.
func inOneGroup(weight float64) func(string) []shard.Group {
	return func(string) []shard.Group { return []shard.Group{{Path: "g", Weight: weight}} }
}

// limiting gives a flow a limit of its own.
func limiting(flow string) func(string) shard.Limit {
	return func(id string) shard.Limit {
		if id == flow {
			return shard.Limit{MaxInFlight: 3}
		}
		return shard.Limit{}
	}
}
