package shard

import (
	"iter"
	"math"
	"slices"
	"strings"
)

// Maximum is how much a group may have in flight, over all priorities together: a number of
// requests, or a part of what the pool takes. The zero value is none.
type Maximum struct {
	Requests int64
	Part     float64 // above 0 and at most 1
}

// Any reports whether there is a maximum.
func (m Maximum) Any() bool { return m.Requests > 0 || m.Part > 0 }

// Slots is the maximum where the pool takes so many requests, which for a part need not be
// whole.
func (m Maximum) Slots(pool int64) float64 {
	if m.Part == 0 {
		return float64(m.Requests)
	}
	const exact = 1e6 // 29% of 100 are not
	return math.Round(m.Part*float64(pool)*exact) / exact
}

// Around are the group of that path and those that it is in, the innermost first.
func Around(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for path != "" && yield(path) {
			path = path[:max(0, strings.LastIndexByte(path, '/'))]
		}
	}
}

// The ledger keeps what is offered of a group at its maximum, and grants it in the turn in
// which there is room. So as many tickets of the group are offered as have room, and a few
// more, beside those of what is guaranteed in it, and of ingresses that are short of room; the
// others would take places from those of other groups.

// GroupRoom passes on how many more requests may go in the group of that path.
func (s *Set) GroupRoom(path string, requests int64) {
	room := int(min(max(requests, 0), int64(s.cfg.OffersPerBand)))
	s.eachOf(path, func(g *group) { g.admit(room+s.few(), requests <= 0) })
}

// CloseGroup has nothing of the group offered, or ends that, where this replica decides by
// itself.
func (s *Set) CloseGroup(path string, closed bool) {
	most := math.MaxInt
	if closed {
		most = 0
	}
	s.eachOf(path, func(g *group) { g.admit(most, closed) })
}

// eachOf calls visit with the group of that path in each band, where it has a maximum.
func (s *Set) eachOf(path string, visit func(*group)) {
	for _, bd := range s.bands {
		if g := bd.group(path); g != nil && g.in != nil && s.cfg.Maxima[path].Any() {
			visit(g)
		}
	}
}

// Counted returns the paths of the groups with tickets here that have a maximum or are
// guaranteed something, in order.
func (s *Set) Counted() (paths []string) {
	if len(s.counted) == 0 {
		return nil
	}
	for g := range s.counted {
		paths = append(paths, g.Path)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// admit has at most so many tickets of the group offered, beside those of what is guaranteed in it,
// and none at all for none.
func (g *group) admit(most int, full bool) {
	g.most, g.full = most, full
	for g.taken() > most || most == 0 && g.offers > 0 {
		g.band.set.unoffer(g.worst())
	}
	g.placed()
}

// taken is how many offers there are of those that as many may be of as most says.
func (g *group) taken() int {
	return g.band.set.beside(g.free(), g.most, g.band, func(f *flow) bool { return g.contains(f.group) })
}

// atMaximum is the path of the innermost group from here outwards that is at its maximum, as
// far as is known; empty for none.
func (g *group) atMaximum() string {
	for g := range g.outwards() {
		if g.full {
			return g.Path
		}
	}
	return ""
}

// contains reports whether another group is this one or in it.
func (g *group) contains(other *group) bool {
	for ; other != nil; other = other.in {
		if other == g {
			return true
		}
	}
	return false
}
