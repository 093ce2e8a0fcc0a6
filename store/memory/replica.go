package memory

import (
	"time"

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
	until       time.Time     // how long it counts at most, once it is lost
	longest     time.Duration // as last stated
	pace        time.Duration // likewise
	dead        []string

	bands     []store.Band      // as last stated
	capacity  int64             // of which their limits are parts, likewise
	sheddable []store.Sheddable // likewise
	revoking  int64             // likewise
	limited   map[limited]int64 // requests in flight of flows and groups with limits, unread grants included
	loads     map[string]place  // what is in flight at its endpoints, likewise
	held      int64             // granted and not finished, unread grants and float included
	holds     holdings          // granted and not finished, unread grants included, by priority
	float     int64             // permits that it may spend by itself
	wantFloat int64             // as last stated
	lent      bool              // its last reply had a share of the float
	usual     int64             // what it held of late as its turns began, usualTurns times the average
	line      int64             // its tickets in line, unread ones included
	wantLine  int64             // as last stated

	unread []message // oldest first
	sent   uint64    // the number of the last message
	seen   uint64    // the number of the last message before the turn under way
	recall bool      // it has requests to revoke, or float or a line to return
	reply  store.Reply
}

// message is one to the replica and, where it tells the owner of a grant, the offer, which is
// kept until it was read.
type message struct {
	store.Message
	offer *offer
}

// post leaves a message for the replica.
func (r *replica) post(kind store.MessageKind, o *offer) {
	r.sent++
	n := o.flow.in
	m := message{Message: store.Message{
		Number: r.sent, Kind: kind, Ticket: o.Ticket, Priority: o.Priority, Policy: n.book.policy, Group: n.path(),
		Flow: o.Flow, Charge: o.Charge,
	}}
	if n.as != nil {
		m.Service = o.service()
	}
	if kind != store.Dropped && kind != store.AtLimit && n.book.countsService {
		m.Counter = o.flow.counter / n.book.scale
	}
	if kind&store.Taken != 0 && o.owner == r {
		m.offer = o
	}
	r.unread = append(r.unread, m)
}

// postNext leaves the replica a grant for the first in line.
func (r *replica) postNext(priority int) {
	r.sent++
	r.unread = append(r.unread, message{Message: store.Message{Number: r.sent, Kind: store.Granted, Priority: priority}})
}

// read forgets messages up to the number that the replica says it has read.
func (r *replica) read(l *Ledger, number uint64) {
	n := 0
	for n < len(r.unread) && r.unread[n].Number <= number {
		r.forget(l, &r.unread[n])
		n++
	}
	if n == 0 {
		return
	}
	kept := copy(r.unread, r.unread[n:])
	clear(r.unread[kept:])
	r.unread = r.unread[:kept]
}

func (r *replica) forget(l *Ledger, m *message) {
	if m.offer != nil && m.offer.listed {
		l.reuse(m.offer)
	}
	m.offer = nil
}

// wakeup has the messages of the turn under way.
func (r *replica) wakeup() store.Wakeup {
	w := store.Wakeup{Incarnation: r.incarnation, Registered: r.registered, Recall: r.recall}
	for i := range r.unread {
		if m := &r.unread[i]; m.Number > r.seen {
			w.Messages = append(w.Messages, m.Message)
		}
	}
	return w
}
