package memory

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/store"
)

// class is what may be guaranteed a part of the pool: a band, or a group of flows over all
// bands.
type class struct {
	band  *band // nil of a group
	group string
	share *store.Guarantee
}

// guaranteed are the classes that are guaranteed something: the bands, the highest first,
// and then the groups, by their paths.
func (l *Ledger) guaranteed() iter.Seq[class] {
	return func(yield func(class) bool) {
		for _, bd := range l.bands {
			if bd.share.Slots > 0 && !yield(class{band: bd, share: &bd.share}) {
				return
			}
		}
		for _, c := range l.floors {
			if !yield(c) {
				return
			}
		}
	}
}

// guarantee takes over how many slots a group is guaranteed, 0 for none.
func (l *Ledger) guarantee(path string, share *store.Guarantee, slots float64) {
	at, listed := slices.BinarySearchFunc(l.floors, path, func(c class, path string) int { return strings.Compare(c.group, path) })
	switch {
	case slots > 0 && !listed:
		l.floors = slices.Insert(l.floors, at, class{group: path, share: share})
	case slots == 0 && listed:
		l.floors = slices.Delete(l.floors, at, at+1)
		*share = store.Guarantee{}
	}
	share.Slots = slots
}

// has is how many requests a class has in flight.
func (l *Ledger) has(c class) int64 {
	if c.band != nil {
		return c.band.inFlight
	}
	return l.inFlight(limited{group: c.group})
}

// waits reports whether something waits in a class.
func (l *Ledger) waits(c class) bool {
	if c.band != nil {
		return l.waitsFor(c.band)
	}
	return l.highest(c.group) != nil
}

// highest is the highest band in which something waits in the group of that path, or in any
// for an empty one; nil if nothing does.
func (l *Ledger) highest(group string) *band {
	for _, bd := range l.bands { // highest priority first
		if group == "" && l.lineOf(bd) > 0 || bd.waits(group) {
			return bd
		}
	}
	return nil
}

// next returns what goes next: a class to which a request is due by its guarantee, or else
// the highest band, and no band below one that waits but those that it shares with. It has neither band nor group if
// nothing waits. Of what is due to a group, what is due within it goes first.
func (l *Ledger) next() (next class, due bool) {
	for c := range l.guaranteed() {
		if l.due(c) && (!due || l.before(c, next)) {
			next, due = c, true
		}
	}
	if !due {
		if next.band = l.highest(""); next.band != nil && next.band.weighed.Weight > 0 {
			next.band = l.nextByWeight()
		}
		return next, false
	}
	for inner, found := l.dueIn(next); found; inner, found = l.dueIn(next) {
		next = inner
	}
	return next, true
}

// due reports whether a request of a class waits that is due to it.
func (l *Ledger) due(c class) bool { return c.share.Room(l.has(c)) > 0 && l.waits(c) }

// before reports whether what is due to a class goes before what is due to another.
func (l *Ledger) before(c, other class) bool {
	return c.share.Before(l.has(c), other.share, l.has(other))
}

// dueIn returns which of the groups in a group is due something first, if any is.
func (l *Ledger) dueIn(outer class) (first class, found bool) {
	for _, c := range l.floors {
		if outer.group != "" && c.group != outer.group && within(c.group, outer.group) && l.due(c) && (!found || l.before(c, first)) {
			first, found = c, true
		}
	}
	return first, found
}

// none reports whether it is no class.
func (c class) none() bool { return c.band == nil && c.group == "" }

// kept is how many requests in flight the guarantee of a group needs: as many may be ahead of
// others for it. It is 0 for a band, in which all go in their order.
func (c class) kept() float64 {
	if c.band != nil {
		return 0
	}
	return float64(c.share.Kept())
}

// pass accounts for the time since the last turn: between turns nothing changes here. An
// offer stands for no longer than a lease without one.
func (l *Ledger) pass(now time.Time) {
	passed := max(0, min(time.Duration(now.UnixMicro()-l.passed.UnixMicro())*time.Microsecond, l.cfg.Lease))
	l.passed = now
	if !l.accounts() {
		return
	}
	waited, wanted := l.waited(now), l.queued+l.inLine > 0 || l.highest("") != nil
	for c := range l.guaranteed() {
		if waits, away := waited(c); away {
			c.share.Had(passed, l.has(c))
		} else {
			c.share.Pass(passed, l.has(c), waits, wanted)
		}
	}
	l.passWeighed(passed, waited)
}

// accounts reports whether anything is guaranteed, or shared by weights.
func (l *Ledger) accounts() bool {
	return len(l.floors) > 0 || slices.ContainsFunc(l.bands, func(bd *band) bool { return bd.share.Slots > 0 || bd.weighed.Weight > 0 })
}

// restore takes over what a registering replica knows that the band is owed, where nothing
// is known here.
func (bd *band) restore(s *store.Band) {
	if bd.share.Owed == 0 {
		bd.share.Owed = s.Owed
	}
}

// hold counts requests that a replica holds in a band.
func (l *Ledger) hold(r *replica, priority int, n int64) {
	r.holds.add(priority, n)
	if bd := find(l.bands, priority); bd != nil { // else nobody states it any more
		bd.inFlight += n
	}
}

// byFloat returns the priorities in which a replica states more in flight than is counted
// for it: it let requests go by itself, which nobody else wanted to go.
func (r *replica) byFloat(s *store.Statement) (priorities []int) {
	for i := range s.Bands {
		if st := &s.Bands[i]; st.InFlight > r.holds.in(st.Priority) {
			priorities = append(priorities, st.Priority)
		}
	}
	return priorities
}

// forgive lets go of the debts of the classes in which a replica holds something whose record
// ends: whether it really had it until now is not known.
func (l *Ledger) forgive(r *replica) {
	for _, h := range r.holds {
		if bd := find(l.bands, h.priority); bd != nil && h.requests > 0 {
			bd.share.Owed = max(0, bd.share.Owed)
		}
	}
	for id, n := range r.limited {
		if m := l.limits[id]; m != nil && n > 0 {
			m.share.Owed = max(0, m.share.Owed)
		}
	}
}

// release stops counting what a replica holds in the bands.
func (l *Ledger) release(r *replica) {
	for _, h := range r.holds {
		if bd := find(l.bands, h.priority); bd != nil {
			bd.inFlight -= h.requests
		}
	}
	r.holds = r.holds[:0]
}

// holdings are how many requests a replica holds, by priority. There are a few, and they are made
// anew in every turn.
type holdings []struct {
	priority int
	requests int64
}

// in is how many it holds in a band.
func (h holdings) in(priority int) int64 {
	for i := range h {
		if h[i].priority == priority {
			return h[i].requests
		}
	}
	return 0
}

// add counts more of them, or fewer.
func (h *holdings) add(priority int, n int64) {
	for i := range *h {
		if at := &(*h)[i]; at.priority == priority {
			at.requests += n
			return
		}
	}
	*h = append(*h, struct {
		priority int
		requests int64
	}{priority, n})
}
