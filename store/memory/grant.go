package memory

import (
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// grant gives out what capacity there is: band after band as next says, in a band to who
// stands in line and then to the lowest rank. Who reaches no endpoint with room is passed
// over.
func (l *Ledger) grant(now time.Time) {
	l.waits = slices.ContainsFunc(l.bands, l.waitsFor)
	l.passedOver, l.lineStuck = false, false
	if l.recovering {
		if len(l.replicas) < l.expected && now.Before(l.recovered) {
			return
		}
		l.recovering = false
	}
	l.waits = false
	for bd, due := l.next(); bd != nil; bd, due = l.next() {
		if !l.room(bd, due) {
			l.waits = true
			break
		}
		l.serve(bd, due, now)
	}
	l.lineStuck = false
	if l.passedOver = len(l.over) > 0; l.passedOver {
		l.standAgain(now)
		l.bound(now)
	}
}

// room reports whether the pool has room for another request of the band: under the band's
// own limit, or, for one that is due to it, under the highest that any band has.
func (l *Ledger) room(bd *band, due bool) bool { return l.roomBeside(bd, due, l.occupied()) }

// roomBeside is the same beside so many that are there.
func (l *Ledger) roomBeside(bd *band, due bool, occupied int64) bool {
	if due {
		return occupied < l.highest
	}
	return occupied < bd.limit
}

// occupied is what is taken of the limits: what is held, but for requests at endpoints that
// are out of use, of which the limits have nothing. All float is of the others.
func (l *Ledger) occupied() int64 { return max(l.float, l.held-l.outOfUse) }

// serve gives a slot to the band: to who stands in line, or else to its first offer, which
// is let go if that may not be granted.
func (l *Ledger) serve(bd *band, due bool, now time.Time) {
	if l.lineOf(bd) > 0 {
		l.serveLine(bd, due, now)
		return
	}
	n, o := bd.first()
	if l.shutAround(n, now) {
		return
	}
	m := l.limits[limited{flow: o.Flow}]
	if m != nil && !m.open(now) {
		l.remove(o, now)
		o.owner.post(store.AtLimit, o)
		return
	}
	ingress := l.replica(o.Ticket.Ingress)
	if ingress == nil {
		l.remove(o, now)
		o.owner.post(store.Dropped, o)
		return
	}
	endpoint, full, byPermits := l.loads.choose(ingress, o.Prefer)
	if full {
		l.waits = l.waits || byPermits
		l.passOver(o, now)
		return
	}
	o.granted = true
	bd.next++
	n.serve(o, now)
	bd.share.Granted(bd.inFlight, due)
	l.hold(ingress, bd.priority, 1)
	ingress.held++
	l.held++
	if m != nil {
		l.holdLimited(ingress, limited{flow: o.Flow}, 1)
		m.spend(o.Tokens, now)
	}
	l.holdGroups(ingress, n, now)
	tell(store.Granted, ingress, o)
	if endpoint != nil {
		l.loads.suggest(ingress, endpoint, &ingress.unread[len(ingress.unread)-1].Message, now)
	}
}

// tell leaves messages of what became of an offer: of that kind for the ingress, and for the
// owner that it was taken. The ingress's is the last of its own.
func tell(kind store.MessageKind, ingress *replica, o *offer) {
	if ingress == o.owner {
		ingress.post(kind|store.Taken, o)
		return
	}
	ingress.post(kind, o)
	o.owner.post(store.Taken, o)
}
