package shard

import (
	"cmp"
	"math"
	"slices"

	"github.com/weirflow/weir/policies"
)

// line is a band's tickets in the order of a policy that only has Less. It gives each a
// score that says its place, so that the ledger, which cannot call Less, keeps the order.
//
// A score is the ticket's arrival if that is where the order has it, and else one
// between its neighbours': a ticket that overtakes others counts as if it had arrived
// just before them. So scores of different replicas compare as well as arrivals do.
//
// Invariant: items are sorted by less, and their scores grow strictly.
type line struct {
	ordering policies.OrderingPolicy
	items    []*item
}

// spread is how far apart scores are moved that have come too close, in microseconds:
// enough for a dozen tickets that each have to go between the last one and its neighbour.
const spread = 1024

func (l *line) less(a, b *item) bool { return before(l.ordering, &a.Ticket, &b.Ticket) }

// before is the order: by the policy, and by arrival where that sees no difference.
func before(ordering policies.OrderingPolicy, a, b *Ticket) bool {
	switch {
	case ordering.Less(shown{a}, shown{b}):
		return true
	case ordering.Less(shown{b}, shown{a}):
		return false
	}
	if c := a.Arrival.Compare(b.Arrival); c != 0 {
		return c < 0
	}
	return a.ID.Compare(b.ID) < 0
}

// insert puts the ticket in its place and gives it its score. It reports whether
// others' scores had to make room: they have changed, in the same order.
func (l *line) insert(it *item) (moved bool) {
	at, _ := slices.BinarySearchFunc(l.items, it, func(other, it *item) int {
		if l.less(other, it) {
			return -1
		}
		return 1
	})
	before, after := math.Inf(-1), math.Inf(1)
	if at > 0 {
		before = l.items[at-1].score
	}
	if at < len(l.items) {
		after = l.items[at].score
	}
	l.items = slices.Insert(l.items, at, it)
	it.score = policies.ArrivalScore(shown{&it.Ticket})
	switch {
	case before < it.score && it.score < after:
	case math.IsInf(after, 1):
		it.score = before + 1
	case math.IsInf(before, -1):
		it.score = after - 1
	default:
		it.score = before + (after-before)/2
		if !(before < it.score && it.score < after) {
			it.score = before
			l.makeRoom(at)
			return true
		}
	}
	return false
}

// makeRoom moves the scores from the place on apart.
func (l *line) makeRoom(from int) {
	for i := from; i < len(l.items); i++ {
		least := l.items[i-1].score + spread
		if i > from && l.items[i].score >= least {
			return
		}
		l.items[i].score = least
	}
}

// remove takes the ticket out.
func (l *line) remove(it *item) {
	at, found := slices.BinarySearchFunc(l.items, it, func(other, it *item) int { return cmp.Compare(other.score, it.score) })
	if found {
		l.items = slices.Delete(l.items, at, at+1)
	}
}
