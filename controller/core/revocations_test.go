package core_test

import (
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
)

// evictFlows lets the flows named be revoked, those that were dispatched first or last first.
type evictFlows struct {
	flows  []string
	oldest bool
}

func (evictFlows) TypedName() policies.TypedName {
	return policies.TypedName{Type: "evict", Name: "evict"}
}

func (e evictFlows) Evictable(flow policies.FlowKey) bool { return slices.Contains(e.flows, flow.ID) }

func (e evictFlows) Score(_ policies.FlowKey, dispatched time.Time) float64 {
	if e.oldest {
		return float64(dispatched.Unix())
	}
	return -float64(dispatched.Unix())
}

// TestEvictionFollowsReload changes what may be revoked, and in which order, while three
// requests fill the pool: they follow the new policies.
func TestEvictionFollowsReload(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	cfg := configured(fairness.NewRoundRobin("rr"))
	evict := func(by evictFlows) { cfg.Eviction = &core.Eviction{Filter: by, Order: by} }
	evict(evictFlows{flows: []string{"a", "b", "c"}})
	c, _, exchange := withLedger(&now, cfg)
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 3})
	for seq, flow := range []string{"a", "b", "c"} {
		c.Enqueue(now, core.Request{Seq: uint64(seq), Flow: policies.FlowKey{ID: flow, Priority: -1}})
		exchange()
		now = now.Add(time.Second)
		c.Tick(now)
		exchange()
	}
	sheddable := func() (seqs []uint64) {
		now = now.Add(time.Second)
		c.Tick(now)
		for _, s := range c.Ready(now).Turn.Sheddable {
			seqs = append(seqs, s.Seq)
		}
		return seqs
	}
	evict(evictFlows{flows: []string{"a", "c"}, oldest: true})
	c.Reconfigure(now, cfg)
	if got := sheddable(); !slices.Equal(got, []uint64{0, 2}) {
		t.Errorf("%d may be revoked, in that order; want 0 and 2", got)
	}
}
