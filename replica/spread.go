package replica

import (
	"time"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/overrides"
	"github.com/weirflow/weir/gateway/spread"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// newSpread returns what has tenants share over the pools of the plan's store.
func (r *replica) newSpread() *spread.Table {
	cfg := spread.Config{Replica: r.plan.File.Weir.Replica, First: r.incarnation, Logger: r.log}
	if r.ledgers.server != nil {
		cfg.Store = r.ledgers.server
	}
	return spread.New(cfg)
}

// spreading is a pool as the tenants whose share is one over all pools have parts in it.
type spreading struct{ *pool }

// Name implements [spread.Pool].
func (s spreading) Name() string { return s.name }

// flowName and groupName name tenants over all pools.
func flowName(id string) string    { return "flow " + id }
func groupName(path string) string { return "group " + path }

// Held implements [spread.Pool].
func (s spreading) Held() map[string]time.Duration {
	s.mu.Lock()
	rules := &s.plan.Flows
	s.mu.Unlock()
	return heldOverPools(rules, s.slotTime.Held)
}

// heldOverPools is what those tenants held whose share is one over all pools, of what each flow
// did; nil if there are none.
func heldOverPools(rules *config.Flows, flows func(visit func(policies.FlowKey, time.Duration))) map[string]time.Duration {
	if !rules.Spans() {
		return nil
	}
	held := make(map[string]time.Duration)
	flows(func(key policies.FlowKey, slotTime time.Duration) {
		if rules.SpansPools(key.ID) {
			held[flowName(key.ID)] += slotTime
		}
		for _, g := range rules.Groups(key.ID) {
			if rules.GroupSpansPools(g.Path) {
				held[groupName(g.Path)] += slotTime
			}
		}
	})
	return held
}

// SetParts implements [spread.Pool].
func (s spreading) SetParts(parts map[string]float64) {
	s.mu.Lock()
	s.parts = parts
	s.mu.Unlock()
	s.apply()
}

// weights are what flows and groups weigh in a pool.
type weights struct {
	rules *config.Flows
	flow  func(policies.FlowKey) float64 // as configured, or set
	parts map[string]float64             // of those whose share is one over all pools
}

func newWeights(plan *config.Plan, set *overrides.Set, parts map[string]float64) weights {
	return weights{&plan.Flows, set.Weight(plan.Flows.Weight), parts}
}

// part is the part of its weight that a tenant has in the pool.
func (w weights) part(name string, spans bool) float64 {
	if part := w.parts[name]; spans && part > 0 {
		return part
	}
	return 1
}

// of is what a flow weighs.
func (w weights) of(key policies.FlowKey) float64 {
	return w.flow(key) * w.part(flowName(key.ID), w.rules.SpansPools(key.ID))
}

// partOf is the part that counts in the pool of what a flow and its groups weigh.
func (w weights) partOf(id string) float64 {
	part := w.part(flowName(id), w.rules.SpansPools(id))
	for _, g := range w.rules.Groups(id) {
		part *= w.part(groupName(g.Path), w.rules.GroupSpansPools(g.Path))
	}
	return part
}

// groups are those that a flow is in, with what they weigh.
func (w weights) groups(id string) []shard.Group {
	groups := w.rules.Groups(id)
	if len(w.parts) == 0 {
		return groups
	}
	weighed := make([]shard.Group, len(groups))
	for i, g := range groups {
		g.Weight *= w.part(groupName(g.Path), w.rules.GroupSpansPools(g.Path))
		weighed[i] = g
	}
	return weighed
}
