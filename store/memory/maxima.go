package memory

import (
	"maps"
	"math"
	"slices"
	"time"
)

// A group has a maximum over all priorities: of requests in flight in it and in the groups
// in it. At that it is shut: it leaves its place among its like, in every book, as if
// nothing in it waited, while its offers stand. So what is beside it goes on, in no band
// anything is due to it, and nothing is revoked for it. Once there is room, in the same turn,
// it comes back as from idleness, at V or its counter: what its maximum kept from it is not
// saved up.

// allIdle is how many of a group's outer groups are taken for idle when it comes back: those
// in which nothing else waited.
const allIdle = math.MaxInt

// bound shuts the groups that are at their maximum, and opens those that have room again.
func (l *Ledger) bound(now time.Time) {
	if len(l.shut) > 0 { // sorting none would cost every turn
		for _, path := range slices.Sorted(maps.Keys(l.shut)) {
			if !l.full[path] {
				l.open(path)
			}
		}
	}
	for path := range l.full { // once all are open: a group that comes back brings those around it
		l.shutGroup(path, now)
	}
}

// shutGroup has a group leave its place.
func (l *Ledger) shutGroup(path string, now time.Time) {
	l.shut[path] = true
	for n := range l.groupsOf(path) {
		n.as.rest(now)
	}
}

// open has it come back.
func (l *Ledger) open(path string) {
	delete(l.shut, path)
	for n := range l.groupsOf(path) {
		if n.waiting.Len() > 0 && !n.as.waits() {
			n.begin(allIdle)
		}
	}
}

// groupsOf calls yield with the group of that path in every book that has it.
func (l *Ledger) groupsOf(path string) func(yield func(*node) bool) {
	return func(yield func(*node) bool) {
		for _, bd := range l.bands {
			for _, b := range bd.books {
				if g := b.groups[path]; g != nil && !yield(g.group) {
					return
				}
			}
		}
	}
}

// shutAround shuts the first group from here outwards that is at its maximum, and reports
// whether there is one.
func (l *Ledger) shutAround(n *node, now time.Time) bool {
	for ; n.as != nil; n = n.as.in {
		if m := l.limits[limited{group: n.as.id}]; m != nil && !m.open(now) {
			l.shutGroup(n.as.id, now)
			return true
		}
	}
	return false
}

// holdGroups counts a grant in the groups from here outwards.
func (l *Ledger) holdGroups(ingress *replica, n *node, now time.Time) {
	for ; n.as != nil; n = n.as.in {
		id := limited{group: n.as.id}
		if m := l.limits[id]; m != nil {
			if m.share.Slots > 0 {
				has := l.inFlight(id)
				m.share.Granted(has, m.share.Room(has) > 0)
			}
			l.holdLimited(ingress, id, 1)
			if !m.open(now) {
				l.shutGroup(n.as.id, now)
			}
		}
	}
}
