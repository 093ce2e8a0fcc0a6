package shard

import (
	"time"

	"github.com/weirflow/weir/policies"
)

// Fill is how full a buffer is, over the fleet: 1 is its cap; 0 where there is none.
type Fill struct{ Requests, Bytes float64 }

func fill(waits amount, maxRequests, maxBytes int64) (f Fill) {
	if maxRequests > 0 {
		f.Requests = float64(waits.requests) / float64(maxRequests)
	}
	if maxBytes > 0 {
		f.Bytes = float64(waits.bytes) / float64(maxBytes)
	}
	return f
}

// FillOfAll returns how full the buffer of all bands together is.
func (s *Set) FillOfAll() Fill {
	return fill(s.waits.plus(s.others), s.cfg.MaxRequests, s.cfg.MaxBytes)
}

// Thin reports whether a band has few offers left before the ledger and more to make, so
// that they are worth a turn.
func (s *Set) Thin() bool {
	if len(s.changed) == 0 {
		return false
	}
	for _, bd := range s.bands {
		fresh := 0
		for _, it := range s.changed {
			if it.offered && it.flow.band == bd {
				fresh++
			}
		}
		if fresh > 0 && 2*(bd.top.offers-fresh) < s.most() {
			return true
		}
	}
	return false
}

// Waits reports whether the band has an offered ticket in the group of that path, or at all for
// an empty one.
func (b Band) Waits(group string) bool {
	g := b.b.group(group)
	return g != nil && g.offers > 0
}

// Best returns the best of these and its charge, for a replica that has to decide by itself.
// There must be one.
func (b Band) Best(group string) (Ticket, float64) {
	it := b.b.group(group).best()
	return it.Ticket, it.charge
}

// FlowView is a flow as an operator sees it.
type FlowView struct {
	Key             policies.FlowKey
	Group           string // the path of the group that it is in; empty for none
	Shard           int
	Weight          float64
	Requests, Bytes int64
	// Counter is the flow's service as last learnt from the ledger, and VirtualTime that of
	// where it is compared: of its group, or of the band.
	Counter, VirtualTime float64
	// Oldest is the arrival of the ticket that goes next; zero if none waits.
	Oldest time.Time
	// Limit is its own, and AtLimit is set while what waits has no room under it.
	Limit   Limit
	AtLimit bool
	// AtMaximum is the path of the group that the flow is in which is at its maximum; empty
	// for none.
	AtMaximum string
}

// Flows returns every flow known here, those of the highest band first.
func (s *Set) Flows() []FlowView {
	n := 0
	for _, bd := range s.bands {
		n += len(bd.flows)
	}
	all := make([]FlowView, 0, n)
	for _, bd := range s.bands {
		bd.top.each(func(g *group) {
			for _, some := range [...][]*flow{g.byID, g.fresh} {
				for _, f := range some {
					all = append(all, f.view())
				}
			}
		})
	}
	return all
}

func (f *flow) view() FlowView {
	v := FlowView{Key: f.key, Group: f.group.Path, Shard: f.shard, Weight: f.weight, Requests: f.waits.requests, Bytes: f.waits.bytes, Counter: f.counter, VirtualTime: f.group.v, Limit: f.limit, AtLimit: f.full(), AtMaximum: f.group.atMaximum()}
	if len(f.offered) > 0 {
		v.Oldest = f.offered[0].Ticket.Arrival
	} else if f.waiting.Len() > 0 {
		v.Oldest = f.waiting.Min().Ticket.Arrival
	}
	return v
}

// Counters calls visit with every counter that the ledger told, and the path of the flow's
// group.
func (s *Set) Counters(visit func(key policies.FlowKey, group string, counter float64)) {
	for _, bd := range s.bands {
		if !bd.counts() {
			continue
		}
		for _, f := range bd.sorted() {
			if f.known {
				visit(f.key, f.group.Path, f.counter)
			}
		}
	}
}

// Charge is what the ledger charges for serving the ticket, or should have
// charged once the ticket carries the real token counts.
func (c Config) Charge(t *Ticket) float64 {
	p, ok := c.Band(t.Flow.Priority).Fairness.(policies.CountingPolicy)
	if !ok {
		return 0
	}
	return charge(p, t, c.weight(t.Flow))
}

// Service is what the groups of a flow are charged where that is charged so much: it does
// not depend on what the flow weighs, and is 1 where the policy charges nothing.
func (c Config) Service(key policies.FlowKey, charge float64) float64 {
	if _, counts := c.Band(key.Priority).Fairness.(policies.CountingPolicy); !counts {
		return 1
	}
	return charge * c.weight(key)
}

// VirtualTime is that of a group in a band, or of the band, as last learnt from the ledger.
func (s *Set) VirtualTime(priority int, group string) float64 {
	if bd := s.find(priority); bd != nil {
		if g := bd.group(group); g != nil {
			return g.v
		}
	}
	return 0
}

// Weight returns a flow's share of its band.
func (s *Set) Weight(key policies.FlowKey) float64 { return s.cfg.weight(key) }

func (c Config) weight(key policies.FlowKey) float64 {
	if c.Weight == nil {
		return 1
	}
	return c.Weight(key)
}

func (s *Set) find(priority int) *band {
	for _, bd := range s.bands {
		if bd.priority == priority {
			return bd
		}
	}
	return nil
}
