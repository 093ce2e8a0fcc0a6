package core

import (
	"math"
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// line is this replica's requests whose tickets the ledger had stand in line here: they are
// next in order, and charged. When a request ends, the first of them goes at once in its
// slot, to the endpoint where that is, and is stated afterwards: what the ledger counts
// for this replica stays the same, and the slot does not stand empty for a turn.
//
// Invariant: who stands here waits, and is in no queue. What is in flight here
// is never more than the ledger counts; see float.
type line struct {
	bystander
	exchange *exchange
	requests *requests
	float    *float
	loads    *loads
	bands    *bands
	took     *durations
	slots    *slots
	charges  *charges
	handover *handover
	surplus  surplus

	waiting []*request // in the ledger's order
	band    int        // of those that stand here, or did last
	stood   time.Time  // when one last came to
	beside  bool       // requests that pass came lately
	asked   mark       // the ledger woke this replica, for what it has: none goes in a freed slot
	back    bool       // all must go back into their queues
	revoked int64      // of the slots that are free here and not stated, those of requests that were revoked

	held, heldBefore int64     // what the ledger counted here of late, and before that
	ended            time.Time // when a request last did
	short            bool      // requests are short beside a turn

	total uint64 // requests that went from here
}

// A line has room for fewLined tickets, or for as many as this replica has slots if these are
// more: what ends between two turns should all be followed from it. manyLined is the most, and
// also room beside a far ledger, where a line lasts for more than one request of each slot.
const (
	fewLined  = 6
	manyLined = 64
)

// lineTurns is for how many turns the line should last: what a turn brings was asked for
// when it began.
const lineTurns = 2

// fits reports whether slots are filled where they are freed: at endpoints that have limits,
// or at the only one. Elsewhere a request goes where the ledger counts the least load.
func (l *line) fits() bool { return l.loads.bounded || len(l.loads.listed) <= 1 }

// pace is how long turns are taken to last for the line: as long as this replica's do, and half
// as long as those of the replica that is furthest from the ledger. Tickets stand in line in
// their order, so that its own would be short where others' are.
func (l *line) pace() time.Duration { return l.handover.pace() }

// far reports whether what the ledger decides is out of date by the time that it is known: it
// is slow beside what requests take.
func (l *line) far() bool { return l.short && l.pace() >= l.exchange.timings.FarTurn }

// lasting is how many tickets each slot serves in the time that the line should last.
func (l *line) lasting() float64 {
	turn := max(l.pace(), l.exchange.timings.LineTurn/2)
	return lineTurns * float64(turn) / float64(l.took.typical)
}

// wants is how many tickets should stand here: as many as the slots that this replica has
// serve in a few turns. If the first would stand for longer than half its patience, or
// nothing has ended for all of it, a ticket is better off in its queue. So it is where there
// is a single slot, unless the ledger is slow: who goes next is more than how soon. Beside a
// far ledger it counts its part of the pool's slots, if it has fewer: it may by the time that
// the tickets are here.
func (l *line) wants(now time.Time) int64 {
	slots, took, patience := float64(max(l.held, l.heldBefore)), l.took.typical, l.patience()
	least := 2.0
	most := min(manyLined, max(fewLined, slots))
	switch {
	case l.far():
		least, most = 1, manyLined
		slots = max(slots, float64(l.bands.limit())/float64(max(1, l.bands.members())))
	case l.beside && took.Seconds() > slots*max(l.pace(), l.exchange.timings.LineTurn).Seconds():
		return 0 // they wait for the next that ends anywhere: those here end too seldom to learn of them between two
	case l.exchange.slow:
		least = 1
	}
	if !l.fits() || slots < least || took == 0 || took.Seconds()/slots > patience.Seconds()/2 || now.Sub(l.ended) > patience {
		return 0
	}
	return int64(min(most, math.Ceil(slots*l.lasting())))
}

// patience is how long a ticket stands in line at most: what the line should last for where
// twice as many stand as there is use for, twice, and some more.
func (l *line) patience() time.Duration {
	return 4*lineTurns*l.pace() + l.exchange.timings.LinePatience
}

// broken reports whether who stands here must go back to where others can be served first:
// it was asked for, or nothing has ended for too long.
func (l *line) broken(now time.Time) bool {
	if l.back || l.exchange.register.raised {
		return len(l.waiting) > 0
	}
	first := l.first()
	return first != nil && now.Sub(first.lined) > l.patience()
}

// moves reports whether the first may go in a slot of this replica that is free, and to which
// endpoint. Where the limit fell, what ends makes no room. Nor does what was revoked: that is for
// those that go before this line, wherever they wait.
func (l *line) moves(now time.Time) (endpoint string, free bool) {
	if l.first() == nil || l.surplus.goes(now) || l.asked.raised || l.float.open(now) <= l.revoked {
		return "", false
	}
	if !l.loads.bounded {
		return "", true
	}
	endpoint = l.loads.least(func(e string) bool {
		return l.loads.permits(e) > l.surplus.yielded(now, e, l.loads.here[e].requests)
	})
	return endpoint, endpoint != ""
}

// next is when the line must be looked at.
func (l *line) next(next time.Time) time.Time {
	if first := l.first(); first != nil {
		return earlier(next, first.lined.Add(l.patience()+1))
	}
	return next
}

// here is how many of those that stand here are requests that have come.
func (l *line) here() (n int) {
	for _, r := range l.waiting {
		if !r.ahead() {
			n++
		}
	}
	return n
}

// first is the first whose request is here; nil for none.
func (l *line) first() *request {
	for _, r := range l.waiting {
		if !r.ahead() {
			return r
		}
	}
	return nil
}

// take has a ticket stand here, as the ledger says.
func (l *line) take(now time.Time, m *store.Message) {
	r := l.requests.waits(m.Ticket)
	if r == nil || r.inLine() {
		l.charges.refund(m)
		return
	}
	r.charged(m)
	if r.coming != nil {
		r.coming.lined(m)
	}
	l.handover.dispatched(now, r, true)
	if r.limited { // since the configuration changed
		l.queueAgain(now, r)
		return
	}
	r.lined, l.band, l.stood = now, r.Flow.Priority, now
	l.waiting = append(l.waiting, r)
}

// granted lets the first go by a grant that is for whoever that is. Where all that stand here are
// ahead of their requests, the first of them had its turn, and goes back: else slots would come for it
// again and again, while others wait who have come.
func (l *line) granted(now time.Time, m *store.Message) {
	if l.first() != nil && !l.loads.nowhere(now, m.Endpoint) {
		l.advance(now, m.Endpoint, m.EndpointInFlight)
		return
	}
	if len(l.waiting) > 0 {
		l.sendBack(now, l.waiting[0])
	}
	l.exchange.agenda.due = true
	l.loads.correct(m.Endpoint)
}

// moveUp lets go who may in the slots of this replica that are free, and reports whether
// anybody did.
func (l *line) moveUp(now time.Time) (went bool) {
	for endpoint, free := l.moves(now); free; endpoint, free = l.moves(now) {
		l.advance(now, endpoint, l.loads.load(endpoint))
		l.exchange.agenda.soon, went = true, true
	}
	return went
}

// advance lets the first go.
func (l *line) advance(now time.Time, endpoint string, load int64) {
	r := l.first()
	l.requests.goFirst(r)
	lined := r.lined
	if r.arrived.After(lined) { // its ticket was ahead of it
		lined = r.arrived
	}
	l.remove(r)
	l.total++
	l.charges.expected(r)
	l.slots.take(now, r, endpoint, load).Lined = lined
}

// breakUp returns who stands here to the queues if it must be.
func (l *line) breakUp(now time.Time) {
	if l.broken(now) {
		l.disband(now)
	}
	l.back = false
}

// disband returns who stands here to queues.
func (l *line) disband(now time.Time) {
	waiting := l.waiting
	l.waiting = nil
	for _, r := range waiting {
		l.queueAgain(now, r)
	}
	l.exchange.agenda.due = true
}

// reconfigure returns those to queues who may stand here no more as the configuration is now.
func (l *line) reconfigure(now time.Time, stands func(*request) bool) {
	for _, r := range slices.Clone(l.waiting) {
		if !stands(r) {
			l.sendBack(now, r)
		}
	}
}

// sendBack returns one to a queue.
func (l *line) sendBack(now time.Time, r *request) {
	l.remove(r)
	l.queueAgain(now, r)
}

// queueAgain returns a request to a queue, and its charge to its flow.
func (l *line) queueAgain(now time.Time, r *request) {
	l.charges.giveBack(r, 0) // flows with tokens per minute have none here
	r.lined = time.Time{}
	if r.ahead() {
		l.requests.decide(r, EvictedOther, nil)
		return
	}
	l.handover.stay(now, r)
}

// leave takes a request out that does not go from here.
func (l *line) leave(r *request) {
	l.remove(r)
	l.charges.giveBack(r, 0) // flows with tokens per minute have none here
}

func (l *line) remove(r *request) {
	r.lined = time.Time{}
	l.waiting = slices.DeleteFunc(l.waiting, func(other *request) bool { return other == r })
}

// ask takes in that the ledger woke this replica for what it has. Beside a far ledger, where some
// pass, a turn is long, and too much for the sake of one request: the reply says what to give up.
func (l *line) ask(somePass bool) {
	if !l.far() || !somePass {
		l.asked.raise()
		return
	}
	l.surplus.ask([]store.Yield{{Slots: 1}})
}

// The line is a participant. It comes before the float, which counts anew from a statement on.

func (l *line) state(now time.Time, s *store.Statement) {
	l.asked.carry()
	l.surplus.stated(now)
	l.revoked = 0
	l.held, l.heldBefore = l.float.counted, l.held
	if !s.Register && !s.Leave {
		s.InLine, s.WantLine = int64(len(l.waiting)), l.wants(now)
	}
}

func (l *line) learn(now time.Time, s *store.Statement, r *store.Reply) {
	l.short = l.took.shortBeside(l.pace(), l.short)
	if l.surplus.keep(); l.far() {
		l.surplus.compare(now, l.pace(), s, r)
	}
	l.asked.answered()
	l.back, l.beside = r.LineRecalled, r.PassLately || r.PassWait
	switch {
	case l.far():
		l.surplus.ask(r.Yields)
	case r.PassWait:
		l.asked.raise()
	}
}

func (l *line) unanswered() { l.surplus.keep() }
