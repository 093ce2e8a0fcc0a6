package memory

import (
	"time"

	"github.com/weirflow/weir/store"
)

// next returns the band that goes next, or nil if nothing waits: one to which a request is
// due by its guarantee, or else the highest, and no band below one that waits.
func (l *Ledger) next() (next *band, due bool) {
	for _, bd := range l.bands { // highest priority first
		if !l.waitsFor(bd) || bd.share.Room(bd.inFlight) == 0 {
			continue
		}
		if next == nil || bd.share.Before(bd.inFlight, &next.share, next.inFlight) {
			next = bd
		}
	}
	if next != nil {
		return next, true
	}
	for _, bd := range l.bands {
		if l.waitsFor(bd) {
			return bd, false
		}
	}
	return nil, false
}

// pass accounts for the time since the last turn: between turns nothing changes here. An
// offer stands for no longer than a lease without one.
func (l *Ledger) pass(now time.Time) {
	passed := max(0, min(time.Duration(now.UnixMicro()-l.passed.UnixMicro())*time.Microsecond, l.cfg.Lease))
	l.passed = now
	for _, bd := range l.bands {
		if bd.share.Slots > 0 {
			bd.share.Pass(passed, bd.inFlight, l.waitsFor(bd) && !l.recovering)
		}
	}
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
	if r.holds == nil {
		r.holds = make(map[int]int64)
	}
	r.holds[priority] += n
	if bd := find(l.bands, priority); bd != nil { // else nobody states it any more
		bd.inFlight += n
	}
}

// byFloat returns the priorities in which a replica states more in flight than is counted
// for it: it let requests go by itself, which nobody else wanted to go.
func (r *replica) byFloat(s *store.Statement) (priorities []int) {
	for i := range s.Bands {
		if st := &s.Bands[i]; st.InFlight > r.holds[st.Priority] {
			priorities = append(priorities, st.Priority)
		}
	}
	return priorities
}

// forgive lets go of the debts of the bands in which a replica holds something whose record
// ends: whether it really had it until now is not known.
func (l *Ledger) forgive(r *replica) {
	for priority, n := range r.holds {
		if bd := find(l.bands, priority); bd != nil && n > 0 {
			bd.share.Owed = max(0, bd.share.Owed)
		}
	}
}

// release stops counting what a replica holds in the bands.
func (l *Ledger) release(r *replica) {
	for priority, n := range r.holds {
		if bd := find(l.bands, priority); bd != nil {
			bd.inFlight -= n
		}
	}
	clear(r.holds)
}
