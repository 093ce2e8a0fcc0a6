package core

import (
	"iter"
	"time"

	"github.com/weirflow/weir/internal/freelist"
	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
)

// requests is this replica as an ingress: the requests whose connections are here.
//
// Invariants: a request that is known waits, or is in flight; it stops waiting with exactly one
// decision. came has those that wait in the order in which they came, so
// that whatever is done to all of them is done in the same order every time. One is among
// the deadlines while it waits and has one. asking counts those waiting that are not limited,
// ahead the tickets whose requests have not come, which are not among these; taken has the
// tickets of those that wait, or went, by another than their own, until they end.
type requests struct {
	replica   string
	known     map[uint64]*request // by the numbers of their tickets, which are all this replica's
	waiting   int                 // how many of them wait, tickets ahead of their requests included
	inFlight  int                 // and how many are in flight
	came      list.List[*request]
	taken     map[uint64]policies.TicketID
	byBand    byPriority // those waiting, by priority, without tickets ahead of their requests
	asking    int        // those waiting that are under no limit of their flows or groups
	ahead     int        // tickets among waiting that are ahead of their requests
	deadlines deadlines
	decisions []Decision
	spare     []Decision // the slice that was handed out last
	ended     freelist.List[request]
}

func newRequests(replica string) requests {
	return requests{
		replica: replica, known: make(map[uint64]*request), taken: make(map[uint64]policies.TicketID),
		deadlines: newDeadlines(),
	}
}

// own is this replica's ticket of that number.
func (q *requests) own(seq uint64) policies.TicketID {
	return policies.TicketID{Ingress: q.replica, Seq: seq}
}

// waits returns the request that waits by a ticket, or nil.
func (q *requests) waits(id policies.TicketID) *request {
	if id.Ingress != q.replica {
		return nil
	}
	if r := q.known[id.Seq]; r != nil && r.waits {
		return r
	}
	return nil
}

// flies returns the request that is in flight by a ticket of this replica, or nil.
func (q *requests) flies(id policies.TicketID) *request {
	if r := q.known[id.Seq]; r != nil && !r.waits {
		return r
	}
	return nil
}

// all goes through those that wait, or through those that are in flight, in no order.
func (q *requests) all(waiting bool) iter.Seq[*request] {
	return func(yield func(*request) bool) {
		for _, r := range q.known {
			if r.waits == waiting && !yield(r) {
				return
			}
		}
	}
}

// ticket is the one by which the request of that number waits, or went.
func (q *requests) ticket(seq uint64) policies.TicketID {
	if id, took := q.taken[seq]; took {
		return id
	}
	return q.own(seq)
}

// hand has a request wait by a ticket that was ahead of it. The ticket says what was expected of
// the request; what it is by now says the request.
func (q *requests) hand(t, r *request) {
	q.waitsBy(r, t)
	q.ahead--
	q.asking++
	q.byBand.band(t.Flow.Priority).requests++
	t.cameNode.Remove()
	q.came.PushBack(&t.cameNode)
	q.byBand.add(t)
}

// waitsBy has a request wait by the ticket of another, which is forgotten: all that is the
// request's own goes there.
func (q *requests) waitsBy(r, ticket *request) {
	id := ticket.ID
	ticket.Ticket, ticket.seq, ticket.tag = r.Ticket, r.seq, r.tag
	ticket.ID, ticket.Waited = id, true
	ticket.arrived, ticket.ttl, ticket.deadline, ticket.obstacle, ticket.offered = r.arrived, r.ttl, r.deadline, r.obstacle, r.offered
	if id == q.own(r.seq) {
		delete(q.taken, r.seq)
	} else {
		q.taken[r.seq] = id
	}
}

// goFirst has the first of a flow's requests here, by its order, wait by a ticket that is about
// to go, and the one that waited by that wait by the other's.
func (q *requests) goFirst(r *request) {
	if r.coming == nil {
		return
	}
	f := r.coming
	first := f.came.Min()
	if first == r {
		return
	}
	for _, x := range []*request{r, first} {
		f.came.Remove(x)
		q.byBand.remove(x)
		q.deadlines.remove(x)
	}
	of := *r
	q.waitsBy(first, r)
	q.waitsBy(&of, first)
	first.cameNode.Remove()
	first.cameNode.TakePlaceOf(&r.cameNode) // r leaves
	for _, x := range []*request{r, first} {
		f.came.Push(x)
		q.byBand.add(x)
		if !x.deadline.IsZero() {
			q.deadlines.add(x)
		}
	}
}

// wait lets a request wait for so long since it arrived; 0 for no limit.
func (q *requests) wait(r *request, ttl time.Duration) {
	if !r.waits {
		q.known[r.ID.Seq], r.waits, r.cameNode.Value = r, true, r
		q.waiting++
		q.came.PushBack(&r.cameNode)
		if r.ahead() {
			q.ahead++
		} else {
			q.count(r, 1)
		}
	}
	q.deadlines.remove(r)
	r.deadline = time.Time{}
	r.mayWait(ttl)
	if ttl > 0 {
		r.deadline = r.arrived.Add(ttl)
		q.deadlines.add(r)
	}
	q.byBand.fix(r)
	if r.coming != nil && !r.ahead() {
		r.coming.came.Fix(r)
	}
}

// count counts one more request that waits, or one less.
func (q *requests) count(r *request, by int) {
	q.byBand.band(r.Flow.Priority).requests += int64(by)
	if !r.limited {
		q.asking += by
	}
}

// reorder puts those that wait in the order of their bands as they are configured now.
func (q *requests) reorder() {
	for r := range q.all(true) {
		q.byBand.remove(r)
	}
	for r := range q.came.All() {
		q.byBand.add(r)
	}
}

// relimit has the waiting requests follow the limits of their flows and groups, which are
// others now.
func (q *requests) relimit(limited func(policies.FlowKey) bool) {
	q.asking = 0
	for r := range q.all(true) {
		if r.limited = limited(r.Flow); !r.limited && !r.ahead() {
			q.asking++
		}
	}
}

// forget forgets a request that was in flight.
func (q *requests) forget(r *request) {
	delete(q.known, r.ID.Seq)
	q.inFlight--
	delete(q.taken, r.seq)
}

// reuse keeps a request for one that comes, once it was in flight and every part of the core has
// forgotten it, so that one that comes and goes takes no new memory. It is left alone where that
// is not so: for what was to wait at another replica, or was charged in an outage.
func (q *requests) reuse(r *request) {
	if !r.elsewhere && !r.own {
		q.ended.Keep(r)
	}
}

// decide ends a request's wait. Of a ticket that is ahead of its request there is nothing to say.
func (q *requests) decide(r *request, outcome Outcome, err error) *Decision {
	waited := r.waits
	if waited {
		r.waits = false
		q.waiting--
		if r.ahead() {
			q.ahead--
		} else {
			q.count(r, -1)
		}
	}
	r.cameNode.Remove()
	q.deadlines.remove(r)
	q.byBand.remove(r)
	if r.coming != nil {
		r.coming.leave(r)
	}
	if waited && (outcome != Dispatched || r.ahead()) {
		delete(q.known, r.ID.Seq)
	}
	switch {
	case r.ahead(): // nobody waits for it
		return nil
	case outcome != Dispatched:
		delete(q.taken, r.seq)
	case waited:
		q.inFlight++
	default:
		q.inFlight++
		q.known[r.ID.Seq] = r
	}
	q.decisions = append(q.decisions, Decision{
		Ticket: q.own(r.seq), Tag: r.tag, Outcome: outcome, Err: err, Owner: r.owner, Obstacle: r.obstacle, Charge: r.charge, Offered: r.offered,
	})
	if outcome != Dispatched {
		r.tag = nil
	}
	return &q.decisions[len(q.decisions)-1]
}

// take hands out the decisions; they are valid until it is called again.
func (q *requests) take() (decisions []Decision) {
	decisions = q.decisions
	q.decisions, q.spare = q.spare[:0], decisions
	return decisions
}
