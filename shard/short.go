package shard

import (
	"cmp"
	"math"
	"slices"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/policies"
)

// Tickets whose ingress is short of room, since it reaches few endpoints, would fill the
// places among a band's offers while the ledger passes them over. So a few of them are
// offered at a time, beside the places that others have, and keep the ingress's place among
// these. The rest are set aside: they are in no flow's waiting until one of the few has gone,
// or has to wait since its flow may offer no more.

// aside is the tickets of an ingress in a band that are set aside, by their flows.
type aside struct {
	flows map[*flow]*heap.Heap[*item]
	loose []*item // those that are not
}

// few is how many tickets of a band are not set aside.
func (s *Set) few() int { return max(aFew, s.cfg.OffersPerBand/8) }

// Short passes on which ingresses are short of room.
func (s *Set) Short(ids []string) {
	if slices.Equal(ids, s.short) {
		return
	}
	before := s.short
	s.short = slices.Compact(slices.Sorted(slices.Values(ids)))
	for _, id := range s.short {
		if of := s.ingresses[id]; of != nil && !contains(before, id) {
			s.limit(of)
		}
	}
	for _, id := range before {
		if of := s.ingresses[id]; of != nil && !s.isShort(id) {
			of.unlimit()
		}
	}
}

// isShort reports whether an ingress is short of room.
func (s *Set) isShort(ingress string) bool { return contains(s.short, ingress) }

func contains(sorted []string, id string) bool {
	_, found := slices.BinarySearch(sorted, id)
	return found
}

// limit sets an ingress's tickets aside but for the best few of each band.
func (s *Set) limit(of *ingress) {
	of.aside = make(map[*band]*aside)
	var all []*item
	for it := range of.tickets.All() {
		all = append(all, it)
	}
	slices.SortStableFunc(all, func(a, b *item) int { // those that are offered first, the best of them first
		switch {
		case a.offered && b.offered:
			return a.compareRank(b)
		case a.offered:
			return -1
		case b.offered:
			return 1
		}
		return cmp.Or(cmp.Compare(a.flow.Counter(), b.flow.Counter()), cmp.Compare(a.score, b.score), a.ID.Compare(b.ID))
	})
	for _, it := range all {
		if of.takes(it, s.few()) {
			continue
		}
		s.setAside(of.aside[it.flow.band], it)
	}
}

// unlimit takes all back that was set aside.
func (i *ingress) unlimit() {
	for it := range i.tickets.All() {
		if it.aside {
			i.aside[it.flow.band].take(it)
			it.flow.waiting.Push(it)
			it.flow.band.rerank(it.flow)
		}
	}
	i.aside = nil
}

// takes reports whether a ticket is one of so few that are not set aside, and counts it.
func (i *ingress) takes(it *item, few int) bool {
	a := i.aside[it.flow.band]
	if a == nil {
		a = &aside{flows: make(map[*flow]*heap.Heap[*item])}
		i.aside[it.flow.band] = a
	}
	if len(a.loose) >= few || !it.offered && !a.mayOffer(it.flow) {
		return false
	}
	a.loose = append(a.loose, it)
	return true
}

// setAside sets a ticket aside that is nowhere else.
func (a *aside) setAside(it *item) {
	it.aside = true
	if a.flows[it.flow] == nil {
		a.flows[it.flow] = heap.New((*item).before, itemIndex)
	}
	a.flows[it.flow].Push(it)
}

// went takes in that a ticket is there no more.
func (i *ingress) went(it *item, few int) {
	a := i.aside[it.flow.band]
	switch {
	case a == nil:
	case it.aside:
		a.take(it)
	default:
		a.loose = slices.DeleteFunc(a.loose, func(other *item) bool { return other == it })
		a.fill(few)
	}
}

// fill has tickets that were set aside take the places that are free among so few.
func (a *aside) fill(few int) {
	for len(a.loose) < few {
		next := a.next()
		if next == nil {
			return
		}
		first := a.flows[next].Min()
		a.take(first)
		a.loose = append(a.loose, first)
		next.waiting.Push(first)
		next.band.rerank(next)
	}
}

// next returns the flow that has been served least of those that may offer another of the
// tickets that are set aside, or nil. Those of groups at their maximum come last.
func (a *aside) next() (next *flow) {
	for f, items := range a.flows {
		switch {
		case !a.mayOffer(f):
		case next == nil, next.shut() && !f.shut():
			next = f
		case f.shut() == next.shut() && f.goesBefore(items.Min(), next, a.flows[next].Min()):
			next = f
		}
	}
	return next
}

// shut reports whether the flow is in a group at its maximum: its offers stand, and are not
// granted.
func (f *flow) shut() bool { return f.group.atMaximum() != "" }

// mayOffer reports whether the flow and its groups have room for another ticket beside those
// that are offered of ingresses that are short of room, and those of the few that wait to be.
func (a *aside) mayOffer(f *flow) bool {
	s := f.band.set
	same := func(other *flow) bool { return other == f }
	if f.limited && s.ofShort(f.band, same)+a.toOffer(same) >= f.room {
		return false
	}
	for g := range f.group.outwards() {
		inside := func(other *flow) bool { return g.contains(other.group) }
		if g.most < math.MaxInt && s.ofShort(f.band, inside)+a.toOffer(inside) >= g.most {
			return false
		}
	}
	return true
}

// toOffer is how many of the few wait to be offered, of flows of a kind.
func (a *aside) toOffer(of func(*flow) bool) (n int) {
	for _, it := range a.loose {
		if !it.offered && of(it.flow) {
			n++
		}
	}
	return n
}

// exchange has tickets that may not go give up their places among the few of their ingress:
// those of flows that may offer no more, and those of groups at their maximum where others
// could go.
func (s *Set) exchange(bd *band) {
	for _, id := range s.short {
		of := s.ingresses[id]
		if of == nil || of.aside[bd] == nil {
			continue
		}
		a := of.aside[bd]
		loose := a.loose
		a.loose = nil
		for _, it := range loose {
			if it.offered || a.mayOffer(it.flow) {
				a.loose = append(a.loose, it)
			} else {
				s.setAside(a, it)
			}
		}
		a.fill(s.few())
		s.makeWay(a)
	}
}

// makeWay has tickets of groups at their maximum set aside for those that could go.
func (s *Set) makeWay(a *aside) {
	for {
		at := slices.IndexFunc(a.loose, func(it *item) bool { return it.flow.shut() })
		if at < 0 {
			return
		}
		if next := a.next(); next == nil || next.shut() {
			return
		}
		it := a.loose[at]
		a.loose = slices.Delete(a.loose, at, at+1)
		s.setAside(a, it)
		a.fill(s.few())
	}
}

// setAside sets a ticket aside that was among the few.
func (s *Set) setAside(a *aside, it *item) {
	if it.offered {
		s.unoffer(it)
	}
	it.flow.waiting.Remove(it)
	a.setAside(it)
	it.flow.band.rerank(it.flow)
}

// places is how many tickets of the band are offered: those of ingresses that are short of
// room take none of the others' places.
func (s *Set) places(bd *band) int {
	return s.most() + s.ofShort(bd, func(*flow) bool { return true })
}

// ofShort is how many tickets are offered of ingresses that are short of room, of flows of a kind.
func (s *Set) ofShort(bd *band, kind func(*flow) bool) (n int) {
	for _, id := range s.short {
		of := s.ingresses[id]
		if of == nil || of.aside[bd] == nil {
			continue
		}
		for _, it := range of.aside[bd].loose {
			if it.offered && kind(it.flow) {
				n++
			}
		}
	}
	return n
}

// beside is how many of so many offers of a flow's or a group's, of which only as many may stand
// as have room, take that of others: those of ingresses that are short of room do not, or nothing
// would be offered that reaches the endpoints that have some.
func (s *Set) beside(offers, room int, bd *band, kind func(*flow) bool) int {
	if offers < room || room == 0 || len(s.short) == 0 {
		return offers
	}
	return offers - s.ofShort(bd, kind)
}

// take takes a ticket from those that are set aside.
func (a *aside) take(it *item) {
	items := a.flows[it.flow]
	items.Remove(it)
	it.aside = false
	if items.Len() == 0 {
		delete(a.flows, it.flow)
	}
}

// goesBefore reports whether a ticket of the flow goes before one of another's, as groups are
// compared where they are not in the same.
func (f *flow) goesBefore(it *item, other *flow, others *item) bool {
	mine, theirs := slices.Collect(f.group.outwards()), slices.Collect(other.group.outwards())
	for i, j := len(mine)-1, len(theirs)-1; i >= 0 && j >= 0; i, j = i-1, j-1 { // the outermost is last
		if a, b := mine[i], theirs[j]; a != b {
			a, b := a.served()+a.pending/a.Weight, b.served()+b.pending/b.Weight
			return a < b || a == b && mine[i].Path < theirs[j].Path
		}
	}
	if f.band.kind == policies.Counting && f.Counter() != other.Counter() {
		return f.Counter() < other.Counter()
	}
	return it.before(others)
}
