package core

import (
	"slices"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// handover is the tickets between replicas: each waits in one queue of the fleet, its
// shard's owner's. The ingress hands it there by numbered messages, which the owner
// acknowledges; what is lost is repeated, and what moves is queued at the new owner
// before it leaves the old one.
//
// Invariants, for every request of ours that waits:
//   - home is set, and the request is in its homed and in no other's.
//   - number is 0 where home is self, and as long as no message has handed it there.
//   - former, if set, is not home; it may have the ticket in its queue until home has
//     acknowledged the message of that number. between has exactly these requests.
//   - home is self or usable: rehome runs whenever that may have changed, so that an
//     owner that cannot be reached keeps nothing.
type handover struct {
	bystander
	cfg      *Config
	exchange *exchange
	requests *requests
	queues   *queues
	bands    *bands

	fleet     peers
	moves     moves
	between   list.List[*request]   // requests of ours that wait in two queues
	silent    bool                  // the others are informed that the ledger is lost
	outgoing  []coordinator.Message // to be handed out
	forwarded uint64                // tickets handed to others, repeated ones not counted
}

// homeOf says where a flow's tickets should wait: at the shard's owner, or here
// while the owner cannot be reached. During an outage every replica keeps its
// own, since nobody else can let them go.
func (h *handover) homeOf(flow policies.FlowKey) *peer {
	f := &h.fleet
	if len(f.byID) == 0 || h.exchange.outage {
		return f.self
	}
	if p := f.owners[shard.Of(flow, len(f.owners))]; p == f.self || p.usable() {
		return p
	}
	return f.self
}

// slowest is the longest that the turns of another replica take, of those that take part.
func (h *handover) slowest() (turn time.Duration) {
	for _, p := range h.fleet.sorted {
		if p.usable() {
			turn = max(turn, p.turn)
		}
	}
	return turn
}

// pace is how long turns are taken to last for this replica's line: at least half as long as those
// of the replica that is furthest from the ledger.
func (h *handover) pace() time.Duration { return max(h.exchange.pace, h.slowest()/2) }

// meanPace is how long they are taken to last for a replica's line, on average over all.
func (h *handover) meanPace() time.Duration {
	furthest := max(h.exchange.pace, h.slowest())
	sum, n := h.pace(), time.Duration(1)
	for _, p := range h.fleet.sorted {
		if p.usable() {
			sum += max(p.turn, furthest/2)
			n++
		}
	}
	return sum / n
}

// enter places a request of ours that begins to wait.
func (h *handover) enter(now time.Time, r *request) { h.queueAt(now, r, h.homeOf(r.Flow)) }

// stay places a request of ours that left its queue and has to wait again. It waits here: its
// owner may not have heard yet that the ledger took it, and would take it out once it does. It
// was next in order wherever it waits, and goes by its flow's counter here as well.
func (h *handover) stay(now time.Time, r *request) {
	r.Waited, r.kept = true, true
	h.queueAt(now, r, h.fleet.self)
}

// rehome moves every waiting request to where it should wait, and returns how
// many that were.
func (h *handover) rehome(now time.Time) (moved int) {
	if len(h.fleet.byID) == 0 {
		return 0
	}
	for _, r := range slices.Collect(h.requests.came.All()) {
		waits := r.home != nil // else one that moved before it has taken its place in the buffer
		if to := h.homeOf(r.Flow); waits && to != r.home && !r.kept {
			h.move(now, r, to)
			moved++
		}
	}
	return moved
}

// move makes before it breaks: the request stays in its old queue until the new owner has
// acknowledged it.
func (h *handover) move(now time.Time, r *request, to *peer) {
	old := r.home
	r.homeNode.Remove()
	r.Waited = true
	switch {
	case r.former == nil && r.number == 0 && old != h.fleet.self:
		// It was never handed over.
	case r.former == nil:
		r.former = old
		r.betweenNode.Value = r
		h.between.PushBack(&r.betweenNode)
	case r.former == to:
		r.former = old // it goes back to where it still is
	default:
		h.takeOut(now, r, old)
	}
	h.queueAt(now, r, to)
}

// queueAt schedules a request for a queue: its own at once, another's by the next message.
func (h *handover) queueAt(now time.Time, r *request, to *peer) {
	r.home, r.owner, r.number = to, to.id, 0
	r.homeNode.Value = r
	to.homed.PushBack(&r.homeNode)
	if to != h.fleet.self {
		to.out.queue, r.elsewhere = append(to.out.queue, r), true
		return
	}
	h.leaveFormer(now, r)
	h.queueHere(now, r)
}

// queueHere queues a request of ours in our own queues.
func (h *handover) queueHere(now time.Time, r *request) { h.put(now, &r.Ticket) }

// put queues a ticket here, ours or another replica's. Its band may be new here, or have
// been forgotten while the request waited elsewhere.
func (h *handover) put(now time.Time, t *shard.Ticket) {
	h.bands.of(now, t.Flow.Priority)
	displaced, refused := h.queues.put(t, now)
	for i := range displaced {
		h.reject(now, displaced[i].ID, shard.Refusal{Cause: shard.BufferShare})
	}
	if refused != nil {
		h.reject(now, t.ID, *refused)
	}
}

// reject ends a waiting request that there is no room for, or has its ingress end it.
func (h *handover) reject(now time.Time, id policies.TicketID, why shard.Refusal) {
	if id.Ingress != h.cfg.Replica {
		h.fleet.of(id.Ingress).in.reject(id.Seq, why)
		return
	}
	if r := h.requests.waits(id); r != nil && !r.inLine() {
		h.finish(now, r)
		why.Limit = h.cfg.Shard.LimitOf(r.Flow.ID)
		h.requests.decide(r, RejectedCapacity, &why)
	}
}

// offered notes that a traced ticket is offered to the ledger for the first time, or has its
// ingress note it.
func (h *handover) offered(now time.Time, id policies.TicketID) {
	if id.Ingress != h.cfg.Replica {
		h.fleet.of(id.Ingress).in.offer(id.Seq)
		return
	}
	if r := h.requests.waits(id); r != nil && r.offered.IsZero() {
		if r.offered = now; r.inLine() && r.lined.Before(now) { // the ledger was sooner to say so than the owner
			r.offered = r.lined
		}
	}
}

// came has who keeps the ticket of a request that was ahead of it count it as one that waits.
func (h *handover) came(r *request) {
	switch {
	case r.home == h.fleet.self:
		h.queues.set.Came(r.ID)
	case r.home != nil && r.number != 0:
		r.home.out.came = append(r.home.out.came, r.ID.Seq)
	}
}

// withdraw takes a request of ours that ends its wait out of every queue.
func (h *handover) withdraw(now time.Time, r *request) {
	if r.home == h.fleet.self || r.number != 0 {
		h.takeOut(now, r, r.home)
	}
	h.finish(now, r)
}

// dispatched takes a request of ours that goes out of the queues. A queue that it was
// leaving is informed by this replica; its owner by the ledger if that granted it, and
// otherwise by this replica, too.
func (h *handover) dispatched(now time.Time, r *request, granted bool) {
	if r.home == h.fleet.self {
		h.queues.set.Dispatched(r.ID, now)
	} else if !granted && r.number != 0 {
		h.takeOut(now, r, r.home)
	}
	h.finish(now, r)
}

// finish forgets a request whose wait ends, and takes it out of the queue that it was
// about to leave.
func (h *handover) finish(now time.Time, r *request) {
	h.leaveFormer(now, r)
	r.homeNode.Remove()
	r.home = nil
}

// leaveFormer takes a request out of the queue it waited in before.
func (h *handover) leaveFormer(now time.Time, r *request) {
	if r.former != nil {
		h.takeOut(now, r, r.former)
		r.former = nil
		r.betweenNode.Remove()
	}
}

// takeOut takes a request out of a replica's queue.
func (h *handover) takeOut(now time.Time, r *request, of *peer) {
	if of == h.fleet.self {
		h.queues.takeOut(r.ID, now)
	} else if of.up {
		of.out.gone = append(of.out.gone, r.ID.Seq)
	}
}

// requeue queues what should wait here and does not, such as a ticket that the
// ledger took for another owner's.
func (h *handover) requeue(now time.Time) {
	if h.requests.waiting == h.queues.set.Len() && len(h.fleet.byID) == 0 {
		return
	}
	for r := range h.fleet.self.homed.All() {
		if !h.queues.set.Has(r.ID) {
			r.Waited = true
			h.queueHere(now, r)
		}
	}
}

// The hand-over is a participant: it states which replicas live, and in an outage queues
// all of this replica's requests here.

// state says how many replicas a recovering ledger should wait for. Those that gossip
// takes for dead count, too: what they hold must be known before anything is granted, and
// gossip may err.
func (h *handover) state(_ time.Time, s *store.Statement) {
	live, lost := h.fleet.members()
	s.Members = max(h.bands.members(), live-lost)
	s.Dead = append(s.Dead, h.fleet.dead...)
	for _, run := range h.fleet.ended {
		s.Ended = append(s.Ended, store.Run{Replica: run.ID, Incarnation: run.Incarnation})
	}
}

func (h *handover) lost(now time.Time)     { h.rehome(now) }
func (h *handover) regained(now time.Time) { h.rehome(now) }
