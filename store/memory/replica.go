package memory

import (
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// replica is what the ledger knows of one replica.
type replica struct {
	id          string
	incarnation uint64
	registered  uint64 // the number of the turn that registered it
	last        uint64 // the number of its last turn applied
	batch       uint64 // the last batch of settlements applied
	lease       time.Time
	dead        []string

	bands     []store.Band      // as last stated
	sheddable []store.Sheddable // likewise
	revoking  int64             // likewise
	limited   map[flowID]int64  // requests in flight of flows with limits, unread grants included
	loads     map[string]share  // what is in flight at its endpoints, likewise
	held      int64             // granted and not finished, unread grants included
	standing  int               // its offers before the ledger

	mail  []letter // unread, oldest first
	sent  uint64   // the number of the last mail
	told  int      // unread letters about offers that it still counts as standing
	seen  uint64   // the number of the last mail before the turn under way
	wake  bool     // it has requests to revoke
	reply store.Reply
}

// letter is a piece of mail and, for the owner, the offer it is about.
type letter struct {
	store.Mail
	offer   *offer
	counted bool // the owner counts the offer as standing until it reads this
}

// post puts mail in the replica's box.
func (r *replica) post(kind store.MailKind, o *offer) {
	r.sent++
	letter := letter{Mail: store.Mail{
		Number: r.sent, Kind: kind, Ticket: o.Ticket, Priority: o.Priority, Policy: o.flow.book.policy,
		Flow: o.Flow, Charge: o.Charge,
	}}
	if kind != store.Dropped && kind != store.AtLimit && o.flow.book.countsService {
		letter.Counter = o.flow.counter / o.flow.book.scale
	}
	if kind&(store.Taken|store.Dropped|store.AtLimit) != 0 {
		letter.offer, letter.counted = o, true
		r.told++
	}
	r.mail = append(r.mail, letter)
}

// read forgets mail up to the number that the replica says it has read.
func (r *replica) read(l *Ledger, number uint64) {
	n := 0
	for n < len(r.mail) && r.mail[n].Number <= number {
		r.forget(l, &r.mail[n])
		n++
	}
	if n == 0 {
		return
	}
	kept := copy(r.mail, r.mail[n:])
	clear(r.mail[kept:])
	r.mail = r.mail[:kept]
}

func (r *replica) forget(l *Ledger, m *letter) {
	if m.counted {
		r.told--
	}
	if m.offer != nil && m.offer.owner == r && l.offers[m.Ticket] == m.offer {
		delete(l.offers, m.Ticket)
	}
}

// uncount notes that the replica withdrew an offer it has unread mail about.
func (r *replica) uncount(id policies.TicketID) {
	for i := range r.mail {
		if m := &r.mail[i]; m.counted && m.Ticket == id {
			m.counted = false
			r.told--
		}
	}
}

// wakeup has the mail that came in the turn under way.
func (r *replica) wakeup() store.Wakeup {
	w := store.Wakeup{Incarnation: r.incarnation, Registered: r.registered}
	for i := range r.mail {
		if m := &r.mail[i]; m.Number > r.seen {
			w.Mail = append(w.Mail, m.Mail)
		}
	}
	return w
}
