package shard

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/policies"
)

// group is where flows of a band are compared by its policy, or groups by what they were
// served: the band's top, or a group in it. It has flows or groups, and not both.
//
// Like a flow's, its rank is derived: what was last learnt from the ledger that it was
// served, and what its standing offers will cost. So the tickets that the ledger would grant
// first are found from the top: in each group what has the lowest rank, O(depth · log n).
//
// Invariants: offers counts the offers in it, and pending is what they cost. Of the groups
// in it those are in backlog's place that have a ticket to offer, and those in offered's
// that have an offer whose place others can take.
type group struct {
	Group
	band   *band
	in     *group // nil at the top
	groups map[string]*group
	state  any // of the policy

	byID    []*flow // in the order of their ids, without fresh
	fresh   []*flow
	view    standingView      // that the ranker is asked by
	backlog *heap.Heap[*flow] // flows with tickets to offer, lowest rank on top
	offered *heap.Heap[*item] // tickets before the ledger, the worst on top
	picks   picks             // of a picking band

	next  *heap.Heap[*group] // groups with tickets to offer, lowest rank on top
	stood *heap.Heap[*group] // groups with offers whose places others can take, the worst of these on top

	v, level float64 // virtual time, and where flows begin, as last learnt from the ledger
	counter  float64 // of what it was served, for its weight, as last learnt
	known    bool    // something was
	lift     float64 // what the ledger is expected to add for the idle time
	own      float64 // what this replica served in an outage
	idle     bool    // its next offer is the first since it was idle
	waited   bool    // it had tickets when the configuration changed, which are still to come
	tickets  int
	offers   int
	pending  float64 // what the offers cost, in units of service
	rank     float64 // of its next offer; the key in in.next
	last     float64 // of its worst one; the key in in.stood
	most     int     // how many offers others can take the places of there may be; see GroupRoom
	least    int     // how many of them others cannot take the places of; see floor.go
	open     int     // how many others can, as counted in in.openIn
	openIn   int     // the same of the groups in it together
	full     bool    // it is at its maximum, as last learnt

	nextIndex, stoodIndex int
	untidy                bool // in band.untidy
	noted                 bool // in Set.noted
}

func newGroup(bd *band, in *group, g Group, state any) *group {
	most, least := math.MaxInt, 0
	if bd.set.cfg.Maxima[g.Path].Any() {
		most = bd.set.few()
	}
	if bd.set.cfg.Guaranteed[g.Path] > 0 {
		least = bd.set.few()
	}
	return &group{
		Group: g, band: bd, in: in, state: state, most: most, least: least,
		backlog: heap.New(func(a, b *flow) bool {
			if a.rank != b.rank {
				return a.rank < b.rank
			}
			return a.waiting.Min().before(b.waiting.Min())
		}, func(f *flow) *int { return &f.backlogIndex }),
		offered: heap.New(func(a, b *item) bool { return a.compareRank(b) > 0 }, func(it *item) *int { return &it.offerIndex }),
	}
}

// inner returns the group of that path in it, made if it is new.
func (g *group) inner(of Group) *group {
	inner := g.groups[of.Path]
	if inner == nil {
		if g.groups == nil {
			g.groups = make(map[string]*group)
			g.next = heap.New(func(a, b *group) bool {
				if a.rank != b.rank {
					return a.rank < b.rank
				}
				return a.Path < b.Path
			}, func(g *group) *int { return &g.nextIndex })
			g.stood = heap.New(func(a, b *group) bool {
				if a.last != b.last {
					return a.last > b.last
				}
				return a.Path > b.Path
			}, func(g *group) *int { return &g.stoodIndex })
		}
		inner = newGroup(g.band, g, of, g.band.cfg.Fairness.NewState(context.Background()))
		g.groups[of.Path] = inner
		if inner.least > 0 {
			g.band.floors = append(g.band.floors, inner)
		}
	}
	return inner
}

// groupOf returns the group that a flow is in.
func (bd *band) groupOf(id string) *group {
	g := bd.top
	for _, of := range bd.set.cfg.GroupsOf(policies.FlowKey{ID: id, Priority: bd.priority}) {
		g = g.inner(of)
	}
	return g
}

// group returns the group of that path, or nil.
func (bd *band) group(path string) *group {
	g, from := bd.top, 0
	for g != nil && from < len(path) {
		if at := strings.IndexByte(path[from:], '/'); at >= 0 {
			from += at
		} else {
			from = len(path)
		}
		g = g.groups[path[:from]]
		from++
	}
	return g
}

// each calls visit with the group and those in it, in the order of their paths.
func (g *group) each(visit func(*group)) {
	visit(g)
	if len(g.groups) == 0 {
		return
	}
	for _, inner := range slices.SortedFunc(maps.Values(g.groups), byPath) {
		inner.each(visit)
	}
}

func byPath(a, b *group) int { return strings.Compare(a.Path, b.Path) }

// outwards are the group and those that it is in, without the top.
func (g *group) outwards() iter.Seq[*group] {
	return func(yield func(*group) bool) {
		for ; g.in != nil; g = g.in {
			if !yield(g) {
				return
			}
		}
	}
}

// returns is where the ledger puts a flow or a group, at least, that comes back from
// idleness.
func (g *group) returns(known bool) float64 {
	if known {
		return g.v
	}
	return max(g.v, g.level)
}

// service is what serving the ticket is for the groups of its flow, whatever that weighs.
func (it *item) service() float64 {
	if it.flow.band.counts() {
		return it.charge * it.flow.weight
	}
	return 1
}

// served is what it was served in all, as far as is known.
func (g *group) served() float64 { return g.counter + g.own + g.lift }

// charge takes in that a ticket was served in the group.
func (g *group) charge(service float64) {
	for g := range g.outwards() {
		g.counter += service / g.Weight
		g.band.set.note(g)
	}
	g.placed()
}

// comes notes that a ticket waits in the group; it waited elsewhere before, or not.
func (g *group) comes(waited bool) {
	for g := range g.outwards() {
		if g.tickets == 0 {
			g.idle, g.waited = !waited && !g.waited, false
			if g.idle {
				g.lift = max(0, g.in.returns(g.known)-g.counter-g.own)
			}
			g.band.set.note(g)
			if g.band.set.cfg.Counts(g.Path) {
				g.band.set.counted[g] = true
			}
		}
		g.tickets++
	}
}

// goes notes that one does so no more.
func (g *group) goes() {
	for g := range g.outwards() {
		if g.tickets--; g.tickets == 0 {
			delete(g.band.set.counted, g)
		}
	}
}

// stands notes that the ticket stands before the ledger.
func (g *group) stands(it *item) {
	g.offered.Push(it)
	g.stand(1, it.service())
}

// standsNoMore notes that it does so no more.
func (g *group) standsNoMore(it *item) {
	g.offered.Remove(it)
	g.stand(-1, -it.service())
}

func (g *group) stand(n int, service float64) {
	for ; g != nil; g = g.in {
		g.offers += n
		if g.pending += service; g.offers == 0 {
			g.pending = 0 // whatever rounding left
		}
	}
}

// placed puts the group in its place among its like, and those that it is in.
func (g *group) placed() {
	for g := range g.outwards() {
		g.rank = g.served() + g.pending/g.Weight
		put(g.in.next, g, g.nextIndex, g.ready())
		g.last = g.served() // what its rank would be without the worst of its offers, exactly
		if g.offers > 1 {
			g.last = g.served() + (g.pending-g.worst().service())/g.Weight
		}
		before := g.open
		g.open = g.free()
		g.in.openIn += g.open - before
		put(g.in.stood, g, g.stoodIndex, g.open > 0)
		if !g.untidy {
			g.untidy = true
			g.band.untidy = append(g.band.untidy, g)
		}
	}
}

// put puts a group where it belongs in a heap, or takes it out.
func put(h *heap.Heap[*group], g *group, index int, belongs bool) {
	switch {
	case !belongs:
		h.Remove(g)
	case index == 0:
		h.Push(g)
	default:
		h.Fix(g)
	}
}

// ready reports whether there is a ticket to offer.
func (g *group) ready() bool {
	switch {
	case g.taken() >= g.most:
		return false
	case len(g.groups) > 0 && g.next.Len() > 0:
		return true
	case g.band.kind == policies.Picking:
		return g.offered.Len() == 0 && g.backlog.Len() > 0 && !g.picks.stuck
	}
	return g.backlog.Len() > 0
}

// offerNext offers the ticket that comes next in the group.
func (g *group) offerNext() {
	for len(g.groups) > 0 && g.next.Len() > 0 {
		g = g.next.Min()
	}
	if g.band.kind == policies.Picking {
		g.band.set.offerPick(g)
		return
	}
	f := g.backlog.Min()
	g.band.set.offer(f, f.rank)
}

// worst is the last of the group's offers in their order, of those whose places others can
// take if there are any; it has one.
func (g *group) worst() *item {
	for len(g.groups) > 0 {
		if g.stood.Len() > 0 {
			g = g.stood.Min()
			continue
		}
		g = slices.MaxFunc(g.offering(), (*group).compareServed)
	}
	return g.offered.Min()
}

// best is the first of them all.
func (g *group) best() *item {
	for len(g.groups) > 0 {
		g = slices.MinFunc(g.offering(), (*group).compareServed)
	}
	return slices.MinFunc(g.offered.Items(), (*item).compareRank)
}

// offering are the groups in it that have an offer.
func (g *group) offering() []*group {
	return slices.DeleteFunc(slices.Collect(maps.Values(g.groups)), func(g *group) bool { return g.offers == 0 })
}

// compareServed compares groups by what they were served.
func (g *group) compareServed(other *group) int {
	return cmp.Or(cmp.Compare(g.served(), other.served()), byPath(g, other))
}

// improves reports whether the next ticket of the group goes before the worst one that is
// offered.
func (g *group) improves() bool {
	if len(g.groups) > 0 {
		return g.next.Len() > 0 && g.stood.Len() > 0 && g.next.Min().rank < g.stood.Min().last
	}
	if g.band.kind == policies.Picking || g.backlog.Len() == 0 || g.offered.Len() == 0 {
		return false
	}
	f, worst := g.backlog.Min(), g.offered.Min()
	return f.rank < worst.key || f.rank == worst.key && f.waiting.Min().before(worst)
}

// tidy has the best tickets offered of each group, however many of them are.
func (bd *band) tidy() {
	for len(bd.untidy) > 0 {
		g := bd.untidy[len(bd.untidy)-1]
		bd.untidy = bd.untidy[:len(bd.untidy)-1]
		g.untidy = false
		for g.improves() {
			bd.set.unoffer(g.worst())
			g.offerNext()
		}
	}
}

// standing are the offers in the group.
func (g *group) standing() iter.Seq[*item] {
	return func(yield func(*item) bool) {
		g.each(func(g *group) {
			for _, it := range g.offered.Items() {
				if !yield(it) {
					return
				}
			}
		})
	}
}

// byRank returns the group's own offers, lowest rank first.
func (g *group) byRank() []*item {
	items := slices.Clone(g.offered.Items())
	slices.SortFunc(items, (*item).compareRank)
	return items
}

// idleGroups is how many groups from here outwards are idle as far as the ledger has heard.
func (g *group) idleGroups() (n int) {
	for g := range g.outwards() {
		if !g.idle {
			break
		}
		n++
	}
	return n
}
