package memory

import (
	"slices"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// offer returns the offer of a ticket, or nil.
func (l *Ledger) offer(id policies.TicketID) *offer { return l.offers.Get(id.Ingress, id.Seq) }

// withdraw removes an offer of the replica; one that it does not have, or that was granted
// meanwhile, is ignored.
func (l *Ledger) withdraw(r *replica, id policies.TicketID, now time.Time) {
	o := l.offer(id)
	if o != nil && o.owner == r && !o.granted {
		l.remove(o, now)
	}
}

// remove removes a standing offer.
func (l *Ledger) remove(o *offer, now time.Time) {
	o.flow.in.leave(o, now)
	l.offers.Delete(o.Ticket.Ingress, o.Ticket.Seq)
	o.listed = false
}

// list keeps what a replica offers, where no offer of the ticket stands.
func (l *Ledger) list(st *store.Offer, owner *replica, turn uint64) *offer {
	o := l.spare.Take()
	*o = offer{Offer: *st, owner: owner, listed: true, stamp: turn}
	l.offers.Put(o.Ticket.Ingress, o.Ticket.Seq, o)
	return o
}

// reuse forgets an offer that was granted, now that its owner has read so and nothing refers to
// it any more, and keeps it for one that comes.
func (l *Ledger) reuse(o *offer) {
	l.offers.Delete(o.Ticket.Ingress, o.Ticket.Seq)
	l.spare.Keep(o)
}

// removeOffers removes the standing offers that match, in the order of their
// tickets.
func (l *Ledger) removeOffers(now time.Time, match func(*offer) bool) {
	var matched []*offer
	for o := range l.offers.All() {
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
		if s.Offers[i].Prefer == "" {
			continue
		}
		if o := l.offer(s.Offers[i].Ticket); o != nil {
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
		o := l.offer(st.Ticket)
		if o != nil {
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
		if o != nil {
			o.listed = false
		}
		o = l.list(&st, r, s.Number)
		in.stand(o, now)
		in.book.band.wasOffered(now)
	}
	if s.Register || s.Full {
		l.removeOffers(now, func(o *offer) bool { return o.owner == r && o.stamp != s.Number })
	}
}
