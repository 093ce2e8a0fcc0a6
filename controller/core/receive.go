package core

import (
	"maps"
	"slices"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/shard"
)

// receive handles a message from another replica, and reports whether its sender has
// lost the ledger or has it back.
func (h *handover) receive(now time.Time, m *coordinator.Message) (ledger bool) {
	if m.From == h.cfg.Replica || m.To != h.cfg.Replica {
		return false
	}
	p := h.fleet.of(m.From)
	p.seen = now
	if m.Incarnation < p.incarnation {
		return false // sent by an earlier run
	}
	if m.Incarnation > p.incarnation {
		h.reborn(now, p, m.Incarnation)
	}
	if p.leaving != m.Leaving {
		p.leaving = m.Leaving
		h.remap(now)
	}
	p.turn = min(m.Turn, h.cfg.Timings.StaleAfter)
	if ledger = p.lost != m.LedgerLost; ledger {
		p.lost = m.LedgerLost
		h.rehome(now)
	}
	if m.ToIncarnation == h.cfg.Incarnation {
		h.answered(now, p, m)
	}
	if m.Number != 0 {
		h.takeIn(now, p, m)
	}
	return ledger
}

// answered handles the owner's part of a message: what became of our tickets.
func (h *handover) answered(now time.Time, p *peer, m *coordinator.Message) {
	o := &p.out
	o.acknowledge(m.Acknowledged)
	if o.stalled && len(o.awaited) == 0 {
		o.stalled = false
		h.rehome(now)
	}
	if m.Resync {
		o.missing()
	}
	o.moving = slices.DeleteFunc(o.moving, func(r *request) bool {
		if r.home != p || r.number > o.acked {
			return r.home != p
		}
		h.leaveFormer(now, r)
		return true
	})
	for _, seq := range m.Unserved {
		h.keep(now, p, seq)
	}
	for _, seq := range m.Declined {
		h.keep(now, p, seq)
	}
	for _, seq := range m.Offered {
		h.offered(now, h.requests.own(seq))
	}
	for i, seq := range m.Rejected {
		id := h.requests.own(seq)
		if r := h.requests.waits(id); r == nil || r.home == p || r.inLine() {
			var why shard.Refusal
			if i < len(m.Refusals) {
				why = m.Refusals[i]
			}
			h.reject(now, id, why)
			o.gone = append(o.gone, seq) // to confirm
		}
	}
}

// takeIn handles the ingress's part of a message: its tickets.
func (h *handover) takeIn(now time.Time, p *peer, m *coordinator.Message) {
	in := &p.in
	switch {
	case m.Number <= in.received:
		in.ackDue = true // repeated or late
		return
	case !m.Full && (m.Number != in.received+1 || in.received == 0):
		in.resync = true
		return
	}
	in.received, in.ackDue, in.resync = m.Number, true, false
	h.exchange.agenda.touched = true
	if m.Full {
		stated := make(map[uint64]bool, len(m.Queued))
		for i := range m.Queued {
			stated[m.Queued[i].ID.Seq] = true
		}
		for id := range h.queues.set.Of(p.id) {
			if !stated[id.Seq] {
				h.queues.takeOut(id, now)
			}
		}
		maps.DeleteFunc(in.rejected, func(seq uint64, _ shard.Refusal) bool { return !stated[seq] })
	}
	for _, seq := range m.Gone {
		h.queues.takeOut(p.ticket(seq), now)
		delete(in.rejected, seq)
	}
	for _, seq := range m.Came {
		h.queues.set.Came(p.ticket(seq))
	}
	for i := range m.Queued {
		h.takeOne(now, p, &m.Queued[i])
	}
}

// takeOne queues another replica's ticket.
func (h *handover) takeOne(now time.Time, p *peer, t *shard.Ticket) {
	if t.ID.Ingress != p.id {
		return
	}
	if _, rejected := p.in.rejected[t.ID.Seq]; rejected {
		p.in.ackDue = true // it has not heard, and will
		return
	}
	if !h.admits(now, p, t) {
		p.in.decline(t.ID.Seq)
		return
	}
	h.put(now, t)
}
