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
// Invariant: who stands here is in requests.waiting, and in no queue. What is in flight here
// is never more than the ledger counts; see float.
type line struct {
	bystander
	exchange *exchange
	requests *requests
	float    *float
	loads    *loads
	took     *durations

	waiting []*request // in the ledger's order
	asked   mark       // the ledger woke this replica, for what it has: none goes in a freed slot
	back    bool       // all must go back into their queues

	slots, before int64     // what the ledger counted here of late, and before that
	ended         time.Time // when a request last did

	total uint64 // requests that went from here
}

// maxLine is how many tickets stand in line at most, and leastSlots how many slots a replica
// must have for any to: where slots are few, who goes next is more than how soon.
const maxLine, leastSlots = 6, 2

// lineTurns is for how many turns the line should last: what a turn brings was asked for
// when it began.
const lineTurns = 2

// fits reports whether slots are filled where they are freed: at endpoints that have limits,
// or at the only one. Elsewhere a request goes where the ledger counts the least load.
func (l *line) fits() bool { return l.loads.bounded || len(l.loads.listed) <= 1 }

// wants is how many tickets should stand here: as many as the slots that this replica has
// serve in a few turns. If the first would stand for longer than half its patience, or
// nothing has ended for all of it, a ticket is better off in its queue.
func (l *line) wants(now time.Time) int64 {
	slots, took, patience := float64(max(l.slots, l.before)), l.took.typical, l.patience()
	if !l.fits() || slots < leastSlots || took == 0 || took.Seconds()/slots > patience.Seconds()/2 || now.Sub(l.ended) > patience {
		return 0
	}
	turn := max(l.exchange.pace, l.exchange.timings.LineTurn/2)
	return min(maxLine, int64(math.Ceil(slots*lineTurns*float64(turn)/float64(took))))
}

// patience is how long a ticket stands in line at most: what the line should last for where
// twice as many stand as there is use for, twice, and some more.
func (l *line) patience() time.Duration {
	return 4*lineTurns*l.exchange.pace + l.exchange.timings.LinePatience
}

// broken reports whether who stands here must go back to where others can be served first:
// it was asked for, or nothing has ended for too long.
func (l *line) broken(now time.Time) bool {
	return len(l.waiting) > 0 && (l.back || l.exchange.register.raised || now.Sub(l.waiting[0].lined) > l.patience())
}

// moves reports whether the first may go in a slot of this replica that is free, and to which
// endpoint. Where the limit fell, what ends makes no room.
func (l *line) moves(now time.Time) (endpoint string, free bool) {
	if len(l.waiting) == 0 || l.asked.raised || l.back || l.float.room(now) == 0 {
		return "", false
	}
	if !l.loads.bounded {
		return "", true
	}
	endpoint = l.loads.least(func(e string) bool { return l.loads.permits(e) > 0 })
	return endpoint, endpoint != ""
}

// join puts a request at the end.
func (l *line) join(now time.Time, r *request) {
	r.lined = now
	l.waiting = append(l.waiting, r)
}

// leave takes a request out.
func (l *line) leave(r *request) {
	r.lined = time.Time{}
	l.waiting = slices.DeleteFunc(l.waiting, func(other *request) bool { return other == r })
}

// next is when the line must be looked at.
func (l *line) next(next time.Time) time.Time {
	if len(l.waiting) > 0 {
		return earlier(next, l.waiting[0].lined.Add(l.patience()+1))
	}
	return next
}

// The line is a participant. It comes before the float, which counts anew from a statement on.

func (l *line) state(now time.Time, s *store.Statement) {
	l.asked.carry()
	l.slots, l.before = l.float.counted, l.slots
	if !s.Register && !s.Leave {
		s.InLine, s.WantLine = int64(len(l.waiting)), l.wants(now)
	}
}

func (l *line) learn(_ time.Time, _ *store.Statement, r *store.Reply) {
	l.asked.answered()
	l.back = r.LineRecalled
}

// The line, as the Core goes by it.

// lined takes in that the ledger had a ticket stand in line here.
func (c *Core) lined(now time.Time, m *store.Message) {
	r := c.requests.waiting[m.Ticket]
	if r == nil || r.inLine() {
		c.refund(m)
		return
	}
	r.charged(m)
	c.handover.dispatched(now, r, true)
	if r.limited { // since the configuration changed
		c.queueAgain(now, r)
		return
	}
	c.line.join(now, r)
}

// grantedNext lets the first in line go by a grant that is for whoever that is.
func (c *Core) grantedNext(now time.Time, m *store.Message) {
	if len(c.line.waiting) > 0 {
		c.advance(now, m.Endpoint, m.EndpointInFlight)
		return
	}
	c.exchange.agenda.due = true
	c.loads.correct(m.Endpoint)
}

// moveUp lets who stands in line go in what slots of this replica are free.
func (c *Core) moveUp(now time.Time) (went bool) {
	for endpoint, free := c.line.moves(now); free; endpoint, free = c.line.moves(now) {
		c.advance(now, endpoint, c.loads.load(endpoint))
		c.exchange.agenda.soon, went = true, true
	}
	return went
}

// advance lets the first in line go.
func (c *Core) advance(now time.Time, endpoint string, load int64) {
	r := c.line.waiting[0]
	c.line.leave(r)
	c.line.total++
	c.loads.arrive(r, endpoint)
	d := c.dispatch(now, r)
	d.Endpoint, d.EndpointInFlight, d.Preferred = endpoint, load, r.prefers(endpoint)
}

// breakUp returns who stands in line to the queues if it must be.
func (c *Core) breakUp(now time.Time) {
	if !c.line.broken(now) {
		c.line.back = false
		return
	}
	waiting := c.line.waiting
	c.line.waiting, c.line.back = nil, false
	for _, r := range waiting {
		c.queueAgain(now, r)
	}
	c.exchange.agenda.due = true
}

// queueAgain returns a request that stood in line to its queue, and its charge to its flow.
func (c *Core) queueAgain(now time.Time, r *request) {
	c.uncharge(r)
	r.lined, r.Waited = time.Time{}, true
	c.handover.enter(now, r)
}

// leaveLine takes a request out that does not go from there.
func (c *Core) leaveLine(r *request) {
	c.line.leave(r)
	c.uncharge(r)
}

// uncharge returns the charge of a request that does not go by it.
func (c *Core) uncharge(r *request) {
	if r.charge != 0 || r.service != 0 {
		c.settlements.settle(r.account(), -r.charge, -r.service, r.counter, 0)
	}
	r.charge, r.service = 0, 0
}
