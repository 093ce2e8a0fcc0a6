package memory

import (
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// waited returns what tells whether a class waited since the last turn, or only away: at replicas
// whose turns fail, as it seems. These serve it by themselves, or nothing, and which is not known: that
// time is not accounted for.
func (l *Ledger) waited(now time.Time) func(class) (waits, away bool) {
	heard := func(r *replica) bool { return now.Sub(r.lease.Add(-l.cfg.Lease)) <= store.HeardWithin+r.pace }
	all := !slices.ContainsFunc(l.replicas, func(r *replica) bool { return !heard(r) })
	return func(c class) (waits, away bool) {
		waits = !l.recovering && l.waits(c)
		away = waits && !all && !l.waitsAt(c, heard)
		return waits && !away, away
	}
}

// waitsAt reports whether something waits in a class that one of those replicas offers, or whose
// line it stands in.
func (l *Ledger) waitsAt(c class, is func(*replica) bool) (waits bool) {
	for _, bd := range l.bands {
		if c.band != nil && c.band != bd {
			continue
		}
		if c.band != nil && l.lineOf(bd) > 0 {
			waits = waits || slices.ContainsFunc(l.replicas, func(r *replica) bool { return r.line > 0 && is(r) })
		}
		for _, b := range bd.books {
			if n := b.waitsIn(c.group); n != nil && !waits {
				n.eachWaiting(func(f *flow) {
					waits = waits || slices.ContainsFunc(f.offers.Items(), func(o *offer) bool { return is(o.owner) })
				})
			}
		}
	}
	return waits
}
