package memory

import (
	"slices"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// withdraw removes an offer of the replica; one that it does not have, or that was granted
// meanwhile, is ignored.
func (l *Ledger) withdraw(r *replica, id policies.TicketID, now time.Time) {
	o := l.offers[id]
	if o != nil && o.owner == r && !o.granted {
		l.remove(o, now)
	}
}

// remove removes a standing offer.
func (l *Ledger) remove(o *offer, now time.Time) {
	o.flow.in.leave(o, now)
	delete(l.offers, o.Ticket)
}

// removeOffers removes the standing offers that match, in the order of their
// tickets.
func (l *Ledger) removeOffers(now time.Time, match func(*offer) bool) {
	var matched []*offer
	for _, o := range l.offers {
		if !o.granted && match(o) {
			matched = append(matched, o)
		}
	}
	slices.SortFunc(matched, func(a, b *offer) int { return a.Ticket.Compare(b.Ticket) })
	for _, o := range matched {
		l.remove(o, now)
	}
}

// forgetPreferences has the offers that a turn stated, and did not grant, go to the least
// loaded endpoint later: what their ingresses knew of loads is out of date then.
func (l *Ledger) forgetPreferences(s *store.Statement) {
	for i := range s.Offers {
		if o := l.offers[s.Offers[i].Ticket]; o != nil {
			o.Prefer = ""
		}
	}
}

// hasBack reports whether a ticket that was taken, and is offered by the replica, waits there
// again: it is its ingress, and has read that it stood in line. The owner from which it was
// taken need not have heard of that.
func (r *replica) hasBack(id policies.TicketID) bool {
	return id.Ingress == r.id && !slices.ContainsFunc(r.unread, func(m message) bool { return m.Ticket == id })
}

// stand puts the replica's new offers before the ledger.
func (l *Ledger) stand(r *replica, s *store.Statement, now time.Time) {
	for i := range s.Offers {
		st := s.Offers[i]
		var in *node // made for what does not come to stand, too
		if b := l.bookOf(r, st.Priority); b != nil {
			in = b.group(st.Group, now)
		}
		if o := l.offers[st.Ticket]; o != nil {
			switch {
			case o.granted && o.owner == r:
				continue // an unread message says so
			case o.granted && !r.hasBack(o.Ticket):
				r.post(store.Taken, o)
				continue
			case !o.granted:
				if o.owner != r { // a newer owner's offer replaces the older one's
					o.owner.post(store.Dropped, o)
				} else if o.flow.in == in {
					st.Idle, st.IdleGroups = false, 0 // it was lifted when it was first offered here, if it needed to be
				}
				l.remove(o, now)
			}
		}
		if in == nil {
			continue // a band it did not state
		}
		o := &offer{Offer: st, owner: r, stamp: s.Number}
		l.offers[o.Ticket] = o
		in.stand(o, now)
		in.book.band.wasOffered(now)
	}
	if s.Register || s.Full {
		l.removeOffers(now, func(o *offer) bool { return o.owner == r && o.stamp != s.Number })
	}
}
