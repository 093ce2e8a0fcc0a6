package memory

import (
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// nextByWeight is the band that goes next where the highest that waits shares with others.
func (l *Ledger) nextByWeight() *band {
	bands, weighing := l.weighingNow()
	if next := store.NextByWeight(weighing, l.foresight); next >= 0 {
		return bands[next]
	}
	return l.highest("")
}

// weighingNow is the bands as they are weighed where a slot is given out.
func (l *Ledger) weighingNow() (bands []*band, weighing []store.Weighing) {
	occupied := l.occupied()
	return l.weighing(func(bd *band) (bool, bool) { return l.waitsFor(bd), occupied < bd.limit })
}

// grantDue takes in that a band is given a slot by a guarantee, before that counts.
func (l *Ledger) grantDue(bd *band) {
	if bd.weighed.Weight <= 0 {
		return
	}
	bands, weighing := l.weighingNow()
	if at := slices.Index(bands, bd); at >= 0 {
		store.GrantDue(weighing, at, l.foresight)
	}
}

// noteShort takes in, when a band that shares is given a slot, which of them could not have had
// it: all that waits of these was passed over.
func (l *Ledger) noteShort(granted *band) {
	if granted.weighed.Weight <= 0 {
		return
	}
	for _, bd := range l.bands {
		bd.short = bd != granted && bd.weighed.Weight > 0 && bd.over && !l.waitsFor(bd)
	}
}

// passWeighed accounts for the time since the last turn among bands that share.
func (l *Ledger) passWeighed(passed time.Duration, waited func(class) (waits, away bool)) {
	if slices.ContainsFunc(l.bands, func(bd *band) bool { return bd.weighed.Weight > 0 }) {
		l.outOfUse = l.loads.outOfUse()
		occupied := l.occupied()
		bands, weighing := l.weighing(func(bd *band) (bool, bool) {
			return false, !bd.short && (bd.limit == l.most || occupied <= bd.limit)
		})
		for i, bd := range bands {
			weighing[i].Waits, weighing[i].Away = waited(class{band: bd})
		}
		store.PassWeighed(weighing, passed)
	}
}

// weighing is the bands that a replica states, the highest first, as they are weighed against each
// other, each as it is said to wait and to fit.
func (l *Ledger) weighing(of func(*band) (waits, fits bool)) (bands []*band, weighing []store.Weighing) {
	for _, bd := range l.bands {
		if bd.stated {
			bands = append(bands, bd)
			waits, fits := of(bd)
			weighing = append(weighing, store.Weighing{Weighed: &bd.weighed, InFlight: bd.inFlight, Waits: waits, Fits: fits})
		}
	}
	return bands, weighing
}

// sharesWith reports whether a band shares with those of a lower priority by their weights: no
// band between them, nor either, goes strictly by its priority.
func (l *Ledger) sharesWith(bd *band, lower int) bool {
	if with := find(l.bands, lower); with == nil || with.weighed.Weight <= 0 {
		return false
	}
	return !slices.ContainsFunc(l.bands, func(other *band) bool {
		return other.priority <= bd.priority && other.priority >= lower && other.weighed.Weight == 0
	})
}
