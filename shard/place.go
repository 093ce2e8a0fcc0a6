package shard

import (
	"math"

	"github.com/weirflow/weir/policies"
)

// Place is where a ticket stands in its queue, for operators.
type Place struct {
	// Ahead is how many requests of its own flow go before it.
	Ahead int
	// Rank is where its turn comes in its band, as far as is known here, in the unit of the
	// band's policy; Score its place in the order of the flow's tickets.
	Rank, Score float64
	// AtLimit is set while the flow has no room under a limit of its own, which is Limit.
	AtLimit bool
	Limit   Limit
	// AtMaximum is the path of the group that the flow is in which is at its maximum; empty
	// for none.
	AtMaximum string
}

// Place returns where a ticket stands, if it waits here. It costs a look at all tickets of
// its flow.
func (s *Set) Place(id policies.TicketID) (Place, bool) {
	it := s.queued(id)
	if it == nil {
		return Place{}, false
	}
	f := it.flow
	p := Place{Score: it.score, AtLimit: f.full(), Limit: f.limit, AtMaximum: f.group.atMaximum()}
	before := 0.0
	count := func(other *item) {
		if other != it && other.before(it) {
			p.Ahead += int(other.amount().requests)
			before += other.charge
		}
	}
	for other := f.newest; other != nil; other = other.prev {
		count(other)
	}
	switch f.band.kind {
	case policies.Counting:
		p.Rank = f.Counter() - f.pending + before
	case policies.Ranking:
		p.Rank = it.score
	case policies.Picking:
		p.Rank = float64(p.Ahead) // by turns
	}
	return p, true
}

// full reports whether nothing of the flow may go for a limit of its own.
func (f *flow) full() bool { return f.limited && f.room == 0 && f.len > 0 }

// Ahead calls visit for each flow of a band with how many of its requests here go before one
// of that rank and score, which is of the flow of that id, as far as is known now. A flow
// that has no room under its own limit is ahead of nobody, and neither is one of another
// group: groups take turns, whatever is in them.
func (s *Set) Ahead(priority int, id string, rank, score float64, visit func(key policies.FlowKey, requests int)) {
	bd := s.find(priority)
	if bd == nil {
		return
	}
	group := s.cfg.GroupOf(policies.FlowKey{ID: id, Priority: priority})
	for _, f := range bd.sorted() {
		if f.key.ID == id || len(f.offered)+f.waiting.Len() == 0 || f.full() || f.group.Path != group {
			continue
		}
		if n := min(f.before(rank, score), int(f.waits.requests)); n > 0 { // some may be ahead of their requests
			visit(f.key, n)
		}
	}
}

// before is how many of the flow's tickets go before one of that rank and score.
func (f *flow) before(rank, score float64) (n int) {
	first := 0.0
	switch f.band.kind {
	case policies.Ranking:
		for _, it := range f.offered {
			if it.score < score {
				n++
			}
		}
		for _, it := range f.waiting.Items() {
			if it.score < score {
				n++
			}
		}
		return n
	case policies.Counting:
		first = f.Counter() - f.pending
	case policies.Picking:
	}
	step := 1.0
	if f.band.kind == policies.Counting {
		step = f.step()
	}
	if step <= 0 {
		return 0
	}
	places := (rank - first) / step
	whole := math.Round(places)
	if math.Abs(places-whole) > 1e-6 {
		whole = math.Ceil(places)
	} else if f.head().score < score {
		whole++ // of two that rank the same, the one that came first goes first
	}
	return int(min(float64(f.len), max(0, whole)))
}

// head is the flow's ticket that goes next; it must have one.
func (f *flow) head() *item {
	if len(f.offered) > 0 {
		return f.offered[0]
	}
	return f.waiting.Min()
}

// step is about what one of the flow's tickets is charged.
func (f *flow) step() float64 {
	if len(f.offered) > 0 {
		return f.pending / float64(len(f.offered))
	}
	return f.waiting.Min().charge
}
