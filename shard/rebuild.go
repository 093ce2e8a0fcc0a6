package shard

import (
	"maps"
	"slices"
	"time"
)

// Rebuilt returns a Set of another configuration with the same tickets: none is
// displaced, also where a cap is lower now. Counters stay where a band's policy
// does. The ledger has to be told all offers.
func (s *Set) Rebuilt(cfg Config, now time.Time) *Set {
	n := New(cfg)
	n.others, n.othersBytes = s.others, s.othersBytes
	for _, old := range s.bands {
		bd := n.band(old.priority)
		bd.others, bd.othersBytes, bd.emptySince = old.others, old.othersBytes, old.emptySince
		same := bd.cfg.Fairness.TypedName() == old.cfg.Fairness.TypedName() && bd.account == old.account
		if same {
			bd.v = old.v
		}
		for _, f := range old.sorted() {
			to := n.flow(bd, f.key)
			to.since = now
			if same {
				to.counter, to.left = f.counter, f.left
			}
		}
	}
	for _, ingress := range slices.Sorted(maps.Keys(s.ingresses)) {
		for it := range s.ingresses[ingress].All() {
			t := it.Ticket
			t.Waited = true
			n.enqueue(n.flow(n.band(t.Flow.Priority), t.Flow), t)
		}
	}
	return n
}
