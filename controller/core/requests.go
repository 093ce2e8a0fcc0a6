package core

import (
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
)

// requests is this replica as an ingress: the requests whose connections are here.
//
// Invariants: a request is in at most one of waiting and inFlight; it leaves waiting
// with exactly one decision. came has those in waiting in the order in which they came, so
// that whatever is done to all of them is done in the same order every time. One is among
// the deadlines while it waits and has one. asking counts those waiting that are not limited.
type requests struct {
	replica   string
	waiting   map[policies.TicketID]*request
	came      list.List[*request]
	inFlight  map[policies.TicketID]*request
	asking    int // those waiting that are under no limit of their flows or groups
	deadlines *heap.Heap[*request]
	decisions []Decision
	spare     []Decision // the slice that was handed out last
}

func newRequests(replica string) requests {
	return requests{
		replica: replica,
		waiting: make(map[policies.TicketID]*request), inFlight: make(map[policies.TicketID]*request),
		deadlines: heap.New(func(a, b *request) bool { return a.deadline.Before(b.deadline) },
			func(r *request) *int { return &r.deadlineIndex }),
	}
}

// own is the ticket of this replica's request of that number.
func (q *requests) own(seq uint64) policies.TicketID {
	return policies.TicketID{Ingress: q.replica, Seq: seq}
}

// wait lets a request wait for so long since it arrived; 0 for no limit.
func (q *requests) wait(r *request, ttl time.Duration) {
	if q.waiting[r.ID] == nil {
		q.waiting[r.ID], r.cameNode.Value = r, r
		q.came.PushBack(&r.cameNode)
		if !r.limited {
			q.asking++
		}
	}
	q.deadlines.Remove(r)
	r.deadline, r.Deadline = time.Time{}, time.Time{}
	if ttl > 0 {
		r.deadline = r.arrived.Add(ttl)
		r.Deadline = r.Arrival.Add(ttl)
		q.deadlines.Push(r)
	}
}

// relimit has the waiting requests follow the limits of their flows and groups, which are
// others now.
func (q *requests) relimit(limited func(policies.FlowKey) bool) {
	q.asking = 0
	for _, r := range q.waiting {
		if r.limited = limited(r.Flow); !r.limited {
			q.asking++
		}
	}
}

// expired returns a request whose time is up, or nil.
func (q *requests) expired(now time.Time) *request {
	if q.deadlines.Len() == 0 || q.deadlines.Min().deadline.After(now) {
		return nil
	}
	return q.deadlines.Min()
}

// decide ends a request's wait.
func (q *requests) decide(r *request, outcome Outcome, err error) *Decision {
	if q.waiting[r.ID] != nil && !r.limited {
		q.asking--
	}
	delete(q.waiting, r.ID)
	r.cameNode.Remove()
	q.deadlines.Remove(r)
	if outcome == Dispatched {
		q.inFlight[r.ID] = r
	}
	q.decisions = append(q.decisions, Decision{
		Ticket: r.ID, Tag: r.tag, Outcome: outcome, Err: err, Owner: r.owner, Obstacle: r.obstacle, Charge: r.charge,
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
