package core

import (
	"maps"
	"slices"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/shard"
)

// speak returns the messages that are due to other replicas.
func (h *handover) speak(now time.Time) (messages []coordinator.Message) {
	if len(h.fleet.byID) > 0 {
		h.silent = h.exchange.lost(now, h.silent)
		for _, p := range h.fleet.sorted {
			if p.up {
				h.speakTo(now, p)
			}
		}
	}
	messages, h.outgoing = h.outgoing, nil
	return messages
}

// speakTo adds a message to a peer if one is due.
func (h *handover) speakTo(now time.Time, p *peer) {
	m := coordinator.Message{
		From: h.cfg.Replica, Incarnation: h.cfg.Incarnation, To: p.id, ToIncarnation: p.incarnation,
		Acknowledged: p.in.received, Resync: p.in.resync, Leaving: h.fleet.leaving, LedgerLost: h.silent,
		Turn: p.said.news(h.exchange.pace, h.cfg.Timings.FarTurn),
	}
	open := len(p.out.awaited) < h.cfg.Timings.PeerWindow
	switch {
	case open && (p.out.repeat || !now.Before(h.nextRepeat(p))):
		h.repeat(now, p, &m)
	case open && len(p.out.queue)+len(p.out.gone)+len(p.out.came) > 0:
		h.handOver(p, &m)
	}
	if m.Number != 0 {
		p.out.expect(now)
	}
	is := said{leaving: m.Leaving, lost: m.LedgerLost, turn: m.Turn}
	if m.Number == 0 && !p.in.ackDue && !p.in.resync && is == p.said {
		return
	}
	m.Rejected = slices.Sorted(maps.Keys(p.in.rejected))
	for _, seq := range m.Rejected {
		m.Refusals = append(m.Refusals, p.in.rejected[seq])
	}
	m.Unserved, m.Declined, m.Offered = p.in.unserved, p.in.declined, p.in.offered
	p.in.unserved, p.in.declined, p.in.offered = nil, nil, nil
	p.said, p.in.ackDue, p.in.resync = is, false, false
	h.outgoing = append(h.outgoing, m)
}

// handOver fills the message with what has changed since the last one.
func (h *handover) handOver(p *peer, m *coordinator.Message) {
	m.Number = p.out.sent + 1
	for _, r := range p.out.queue {
		if r.home == p && r.number == 0 {
			m.Queued = append(m.Queued, h.handTo(p, r, m.Number))
		}
	}
	h.forwarded += uint64(len(m.Queued))
	m.Gone, m.Came = slices.Clone(p.out.gone), slices.Clone(p.out.came)
	p.out.forgetUnsent()
}

// repeat fills the message with all tickets.
func (h *handover) repeat(now time.Time, p *peer, m *coordinator.Message) {
	m.Number, m.Full = p.out.sent+1, true
	p.out.full, p.out.repeat, p.out.repeated = m.Number, false, now
	p.out.forgetUnsent()
	p.out.moving = p.out.moving[:0]
	for r := range p.homed.All() {
		m.Queued = append(m.Queued, h.handTo(p, r, m.Number))
	}
}

func (h *handover) handTo(p *peer, r *request, number uint64) shard.Ticket {
	r.number = number
	if r.former != nil {
		p.out.moving = append(p.out.moving, r)
	}
	return r.Ticket
}

func (h *handover) nextRepeat(p *peer) time.Time {
	return p.out.nextRepeat(&h.cfg.Timings, h.requests.waiting)
}

// watch looks for acknowledgments that do not come: the owner is then taken
// for unreachable until one does.
func (h *handover) watch(now time.Time) {
	for _, p := range h.fleet.sorted {
		if len(p.out.awaited) == 0 || now.Sub(p.out.awaited[0].sent) < h.cfg.Timings.PeerTimeout {
			continue
		}
		p.out.awaited = p.out.awaited[:0]
		p.out.repeat = true // which also asks for a sign of life
		if !p.out.stalled {
			p.out.stalled = true
			h.rehome(now)
		}
	}
}

// next is when a message, or an acknowledgment, is due at the latest.
func (h *handover) next(next time.Time) time.Time {
	if at, ok := h.exchange.nextLoss(h.silent); ok && len(h.fleet.byID) > 0 {
		next = earlier(next, at)
	}
	for _, p := range h.fleet.sorted {
		if len(p.out.awaited) > 0 {
			next = earlier(next, p.out.awaited[0].sent.Add(h.cfg.Timings.PeerTimeout))
		}
		if p.up && len(p.out.awaited) < h.cfg.Timings.PeerWindow {
			next = earlier(next, h.nextRepeat(p))
		}
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
