package core

import (
	"maps"
	"slices"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// lostAfter is how long the ledger must have been silent before the others are
// told: early, so that they leave this replica its share by the time it goes on
// by itself.
const lostAfter = 200 * time.Millisecond

// ledgerLost reports whether turns fail, or one has no answer, for that long.
func (c *Core) ledgerLost(now time.Time) bool {
	t := &c.turn
	return t.failing && now.Sub(t.since) >= lostAfter || t.underWay && now.Sub(t.last) >= lostAfter
}

// messages says to each replica what it must hear.
func (c *Core) messages(now time.Time) {
	f := &c.fleet
	if len(f.peers) == 0 {
		return
	}
	f.lost = c.ledgerLost(now)
	for _, p := range f.sorted {
		if p.up {
			c.speak(now, p)
		}
	}
}

// speak adds a message to a peer, if there is anything to say.
func (c *Core) speak(now time.Time, p *peer) {
	m := coordinator.Message{
		From: c.cfg.Replica, Incarnation: c.cfg.Incarnation, To: p.id, ToIncarnation: p.incarnation,
		Acknowledged: p.received, Resync: p.resync, Leaving: c.fleet.leaving, LedgerLost: c.fleet.lost,
	}
	open := len(p.awaited) < window
	switch {
	case open && (p.restate || !now.Before(p.nextRestate(len(c.waiting)))):
		c.restateTickets(now, p, &m)
	case open && len(p.queue)+len(p.gone) > 0:
		c.handOver(p, &m)
	}
	if m.Number != 0 {
		p.expect(now)
	}
	is := said{leaving: m.Leaving, lost: m.LedgerLost}
	if m.Number == 0 && !p.ackDue && !p.resync && is == p.said {
		return
	}
	m.Rejected = slices.Sorted(maps.Keys(p.rejected))
	p.said, p.ackDue, p.resync = is, false, false
	c.outgoing = append(c.outgoing, m)
}

// handOver says what has changed since the last message.
func (c *Core) handOver(p *peer, m *coordinator.Message) {
	m.Number = p.sent + 1
	for _, r := range p.queue {
		if r.home == p && r.number == 0 {
			m.Queued = append(m.Queued, c.handTo(p, r, m.Number))
		}
	}
	c.fleet.tallies.Forwarded += uint64(len(m.Queued))
	m.Gone = slices.Clone(p.gone)
	p.forgetUnsent()
}

// restateTickets says everything.
func (c *Core) restateTickets(now time.Time, p *peer, m *coordinator.Message) {
	m.Number, m.Restate = p.sent+1, true
	p.restate, p.restated = false, now
	p.forgetUnsent()
	p.moving = p.moving[:0]
	for r := range p.homed.All() {
		m.Queued = append(m.Queued, c.handTo(p, r, m.Number))
	}
}

func (c *Core) handTo(p *peer, r *request, number uint64) shard.Ticket {
	r.number = number
	if r.former != nil {
		p.moving = append(p.moving, r)
	}
	return r.Ticket
}

// Receive takes in a message from another replica.
func (c *Core) Receive(now time.Time, m *coordinator.Message) {
	if m.From == c.cfg.Replica || m.To != c.cfg.Replica {
		return
	}
	p := c.fleet.peer(m.From)
	p.seen = now
	if m.Incarnation < p.incarnation {
		return // a word from an earlier run
	}
	if m.Incarnation > p.incarnation {
		c.reborn(now, p, m.Incarnation)
	}
	c.hear(now, p, m)
	if m.ToIncarnation == c.cfg.Incarnation {
		c.answered(now, p, m)
	}
	if m.Number != 0 {
		c.takeIn(now, p, m)
	}
}

// hear takes in what a message tells of its sender.
func (c *Core) hear(now time.Time, p *peer, m *coordinator.Message) {
	if p.leaving != m.Leaving {
		p.leaving = m.Leaving
		c.remap(now)
	}
	if p.lost != m.LedgerLost {
		p.lost = m.LedgerLost
		c.relimit(now)
		c.rehome(now)
		c.turn.due = true
	}
}

// answered takes in what an owner says of our tickets.
func (c *Core) answered(now time.Time, p *peer, m *coordinator.Message) {
	p.acknowledge(m.Acknowledged)
	if p.stalled && len(p.awaited) == 0 {
		p.stalled = false
		c.rehome(now)
	}
	p.restate = p.restate || m.Resync
	p.moving = slices.DeleteFunc(p.moving, func(r *request) bool {
		if r.home != p || r.number > p.acked {
			return r.home != p
		}
		c.release(now, r)
		return true
	})
	for _, seq := range m.Rejected {
		if r := c.waiting[policies.TicketID{Ingress: c.cfg.Replica, Seq: seq}]; r == nil || r.home == p {
			c.displace(now, policies.TicketID{Ingress: c.cfg.Replica, Seq: seq})
			p.gone = append(p.gone, seq) // to confirm
		}
	}
}

// takeIn takes in what an ingress says of its tickets.
func (c *Core) takeIn(now time.Time, p *peer, m *coordinator.Message) {
	switch {
	case m.Number <= p.received:
		p.ackDue = true // repeated or late
		return
	case !m.Restate && (m.Number != p.received+1 || p.received == 0):
		p.resync = true
		return
	}
	p.received, p.ackDue, p.resync = m.Number, true, false
	c.turn.touched = true
	gone := func(seq uint64) bool { return slices.Contains(m.Gone, seq) }
	if m.Restate {
		stated := make(map[uint64]bool, len(m.Queued))
		for i := range m.Queued {
			stated[m.Queued[i].ID.Seq] = true
		}
		gone = func(seq uint64) bool { return !stated[seq] }
		for id := range c.queues.Of(p.id) {
			if !stated[id.Seq] {
				c.queues.Remove(id, now)
			}
		}
	}
	maps.DeleteFunc(p.rejected, func(seq uint64, _ bool) bool { return gone(seq) })
	for _, seq := range m.Gone {
		c.queues.Remove(p.ticket(seq), now)
	}
	for i := range m.Queued {
		c.takeOne(now, p, m.Queued[i])
	}
}

// takeOne queues another replica's ticket.
func (c *Core) takeOne(now time.Time, p *peer, t shard.Ticket) {
	if t.ID.Ingress != p.id {
		return
	}
	if p.rejected[t.ID.Seq] {
		p.ackDue = true // it has not heard
	}
	c.band(now, t.Flow.Priority)
	displaced, err := c.queues.Add(t, now)
	for i := range displaced {
		c.displace(now, displaced[i].ID)
	}
	if err != nil {
		c.displace(now, t.ID)
	}
}

// watchPeers looks for acknowledgments that do not come: the owner is then taken
// for unreachable until one does.
func (c *Core) watchPeers(now time.Time) {
	for _, p := range c.fleet.sorted {
		if len(p.awaited) == 0 || now.Sub(p.awaited[0].sent) < c.cfg.PeerTimeout {
			continue
		}
		p.awaited = p.awaited[:0]
		p.restate = true // which also asks for a sign of life
		if !p.stalled {
			p.stalled = true
			c.rehome(now)
		}
	}
}

// nextMessage is when a message is due at the latest.
func (c *Core) nextMessage(next time.Time) time.Time {
	if t := &c.turn; t.underWay && !c.fleet.lost && len(c.fleet.peers) > 0 {
		if at := t.last.Add(lostAfter); at.Before(next) {
			next = at
		}
	}
	for _, p := range c.fleet.sorted {
		if len(p.awaited) > 0 {
			if t := p.awaited[0].sent.Add(c.cfg.PeerTimeout); t.Before(next) {
				next = t
			}
		}
		if p.up && len(p.awaited) < window {
			if t := p.nextRestate(len(c.waiting)); t.Before(next) {
				next = t
			}
		}
	}
	return next
}
