package shard

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/weirflow/weir/policies"
)

// Rebuilt returns a Set of another configuration with the same tickets: none is
// displaced, also where a cap is lower now. Counters stay where a band's policy
// counts the same, and its state where it is the same. All offers must be stated again.
func (s *Set) Rebuilt(cfg Config, now time.Time) *Set {
	n := New(cfg)
	n.others, n.lowestElsewhere = s.others, s.lowestElsewhere
	n.failedPicks, n.failures = s.failedPicks, s.failures
	for _, old := range s.bands {
		bd := n.inherit(old)
		bd.elsewhere, bd.emptySince = old.elsewhere, old.emptySince
		bd.capacity = old.capacity
		same := bd.policy == old.policy && bd.account == old.account && bd.kind == old.kind
		if same {
			bd.top.inherit(old.top)
		}
		for _, f := range old.sorted() {
			to := n.flow(bd, f.key)
			to.since = now
			if same && to.group.Path == f.group.Path {
				to.counter, to.known, to.own = f.counter, f.known, f.own
			} else {
				to.moved = true
			}
		}
		bd.top.each(func(g *group) {
			if before := old.group(g.Path); before != nil && g.in != nil {
				if policies.Same(bd.cfg.Fairness, old.cfg.Fairness) {
					g.state = before.state
				}
				if same {
					g.inherit(before)
					g.waited = before.tickets > 0
				}
			}
		})
	}
	for _, ingress := range slices.Sorted(maps.Keys(s.ingresses)) {
		for it := range s.ingresses[ingress].tickets.All() {
			t := it.Ticket
			t.Waited = true
			n.enqueue(n.flow(n.band(t.Flow.Priority), t.Flow), &t)
		}
	}
	n.keepExcess()
	return n
}

// SetDeadline takes over when a ticket's time in the queue ends. It keeps its place until the
// Set is rebuilt; one that is not queued here is passed over.
func (s *Set) SetDeadline(id policies.TicketID, at time.Time) {
	if it := s.queued(id); it != nil {
		it.Ticket.Deadline = at
	}
}

// inherit makes the band that takes an old one's place.
func (s *Set) inherit(old *band) *band {
	cfg := s.cfg.Band(old.priority)
	var bd *band
	if policies.Same(cfg.Fairness, old.cfg.Fairness) {
		bd = newBand(s, old.priority, cfg, old.top.state)
		bd.top.picks.failed = old.top.picks.failed
	} else {
		bd = newBand(s, old.priority, cfg, cfg.Fairness.NewState(context.Background()))
	}
	s.bands = append(s.bands, bd) // in the order of the old ones
	return bd
}

// inherit takes over where a group of another configuration stood.
func (g *group) inherit(before *group) {
	g.v, g.level, g.picks.rank = before.v, before.level, before.picks.rank
	g.counter, g.known, g.own = before.counter, before.known, before.own
}
