package memory

import (
	"time"

	"github.com/weirflow/weir/store"
)

// grant gives out what capacity there is: band after band, or group, as next says, in a band
// to who stands in line and then to the lowest rank. Who reaches no endpoint with room is passed
// over.
func (l *Ledger) grant(now time.Time) {
	l.wanted = l.highest("") != nil
	l.passedOver, l.lineStuck = false, false
	if l.recovering {
		if len(l.replicas) < l.expected && now.Before(l.recovered) {
			return
		}
		l.recovering = false
	}
	l.wanted = false
	for c, due := l.next(); !c.none(); c, due = l.next() {
		if !l.room(c, due) {
			l.wanted = true
			break
		}
		l.serve(c, due, now)
	}
	l.lineStuck = false
	if l.passedOver = len(l.over) > 0; l.passedOver {
		l.standAgain(now)
		l.bound(now)
	}
}

// room reports whether the pool has room for another request of the class: under the band's
// own limit, or, for one that is due, under the highest that any band has.
func (l *Ledger) room(c class, due bool) bool { return l.roomBeside(c, due, l.occupied()) }

// roomBeside is the same beside so many that are there.
func (l *Ledger) roomBeside(c class, due bool, occupied int64) bool {
	if due {
		return occupied < l.most
	}
	return occupied < c.band.limit
}

// occupied is what is taken of the limits: what is held, but for requests at endpoints that
// are out of use, of which the limits have nothing. All float is of the others.
func (l *Ledger) occupied() int64 { return max(l.float, l.held-l.outOfUse) }

// serve gives a slot to a class, by its guarantee if that is due: to who stands in its line, or
// else to its first offer in the highest band in which it has one, which is let go if that may
// not be granted. What is in a group that is guaranteed something is never in line.
func (l *Ledger) serve(c class, due bool, now time.Time) {
	bd := c.band
	if bd == nil {
		bd = l.highest(c.group)
	} else if l.lineOf(bd) > 0 {
		l.serveLine(bd, now)
		return
	}
	n, o := bd.first(c.group)
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
		l.wanted = l.wanted || byPermits
		l.passOver(o, now)
		return
	}
	o.granted = true
	bd.next++
	n.serve(o, c.kept(), now)
	if due {
		l.grantDue(bd)
	}
	l.noteShort(bd)
	bd.share.Granted(bd.inFlight, bd.share.Room(bd.inFlight) > 0)
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
