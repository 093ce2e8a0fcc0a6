package shard

import (
	"iter"
	"slices"
	"strings"

	"github.com/weirflow/weir/policies"
)

// The group implements policies.PriorityBandAccessor: to the policy a group is a band of its
// own.

func (g *group) Priority() int { return g.band.priority }
func (g *group) State() any    { return g.state }
func (g *group) Len() int {
	if g.in == nil && len(g.groups) == 0 {
		return len(g.band.flows)
	}
	return len(g.sorted())
}

func (g *group) Flows() iter.Seq[policies.FlowQueueAccessor] {
	return func(yield func(policies.FlowQueueAccessor) bool) {
		for _, f := range g.sorted() {
			if !yield(f) {
				return
			}
		}
	}
}

// sorted returns the flows in the order of their ids; the slice is the group's own. A
// few new flows since the last call are put in their places, many are sorted in.
func (g *group) sorted() []*flow {
	byID := func(a, b *flow) int { return strings.Compare(a.key.ID, b.key.ID) }
	if len(g.fresh) > 8 {
		g.byID = append(g.byID, g.fresh...)
		slices.SortFunc(g.byID, byID)
	} else {
		for _, f := range g.fresh {
			at, _ := slices.BinarySearchFunc(g.byID, f, byID)
			g.byID = slices.Insert(g.byID, at, f)
		}
	}
	clear(g.fresh)
	g.fresh = g.fresh[:0]
	return g.byID
}

// forget drops flows that are no longer the band's, and groups that have none.
func (g *group) forget() {
	gone := func(f *flow) bool { return g.band.flows[f.key.ID] != f }
	g.byID, g.fresh = slices.DeleteFunc(g.byID, gone), slices.DeleteFunc(g.fresh, gone)
	for path, inner := range g.groups {
		inner.forget()
		if len(inner.byID)+len(inner.fresh)+len(inner.groups) == 0 && !inner.untidy && !inner.noted {
			delete(g.groups, path)
		}
	}
}
