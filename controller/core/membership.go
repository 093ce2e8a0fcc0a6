package core

import (
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/coordinator"
)

// setMembers takes in who lives.
func (h *handover) setMembers(now time.Time, m coordinator.Members) {
	f := &h.fleet
	f.known, f.apart = true, m.Apart
	live := make(map[string]bool)
	for _, member := range m.Live {
		if member.ID == h.cfg.Replica {
			f.attested(now, member.Leaseholder)
			continue
		}
		live[member.ID] = true
		p := f.of(member.ID)
		// Gossip has the last word on which run it is, but for a stream that is up: a
		// stranger may have told of a later one that there is not.
		if member.Incarnation > p.incarnation || member.Incarnation < p.incarnation && !p.up {
			h.reborn(now, p, member.Incarnation)
		}
		p.live, p.seen, p.holder = true, now, member.Leaseholder
		p.leaving = p.leaving || member.Leaving
		p.version, p.differs = member.Version, member.Differs
	}
	f.bury(&m, live)
	for _, p := range f.sorted {
		if p.live && !live[p.id] {
			p.live, p.lost = false, false
			h.forgetTicketsOf(now, p)
			p.in.resync = p.up // gossip may err: one that lives says its tickets again
		}
	}
	h.remap(now)
}

// setStream takes in whether messages to and from a replica pass.
func (h *handover) setStream(now time.Time, id string, up bool) {
	p := h.fleet.of(id)
	if p == h.fleet.self {
		return
	}
	p.up, p.seen = up, now
	p.out.reset()
	if !up {
		// Its tickets wait where it is now: it queues them itself, or it is gone.
		h.forgetTicketsOf(now, p)
	}
	h.rehome(now)
}

// retire makes this replica own nothing: its tickets and the others' move to
// other owners, as far as there are any.
func (h *handover) retire(now time.Time) {
	if !h.fleet.leaving {
		h.fleet.leaving = true
		h.remap(now)
	}
}

// retired reports whether this replica owns nothing and no other replica's ticket waits
// here.
func (h *handover) retired() bool {
	return h.fleet.leaving && !slices.ContainsFunc(h.fleet.sorted, func(p *peer) bool {
		return p.usable() && h.queues.anyOf(p.id)
	})
}

// reborn takes in that a replica runs anew: what its earlier run had here is gone.
func (h *handover) reborn(now time.Time, p *peer, incarnation uint64) {
	p.reborn(incarnation)
	h.forgetTicketsOf(now, p)
}

// forgetTicketsOf takes a replica's tickets out of the queues here.
func (h *handover) forgetTicketsOf(now time.Time, p *peer) {
	h.queues.takeOutAllOf(p.id, now)
	p.in.forget()
}

// holders is how many replicas live that have held a lease, and how many of them have
// the ledger.
func (h *handover) holders() (live, connected int) {
	live, lost := h.fleet.holders()
	connected = live - lost
	if counted := h.bands.totals.Members; !h.exchange.register.raised && counted > 0 {
		connected = min(connected, counted)
	}
	return live, connected
}

// left is what those that have the ledger may have of a limit: all but the parts of those that
// lost it and go on by themselves, who have what these leave and no more.
func (h *handover) left(limit int64) int64 {
	live, connected := h.holders()
	if connected == live || limit <= 0 {
		return limit
	}
	return max(0, min(limit*int64(connected)/int64(live), limit-h.fleet.lostParts(limit, h.bands.members())))
}

// shares reports whether another replica may go on without the ledger.
func (h *handover) shares(id string) bool {
	p := h.fleet.byID[id]
	return p != nil && p.live && p.holder
}

// remap draws the shard map anew and moves tickets to where they belong.
func (h *handover) remap(now time.Time) {
	before := h.fleet.shards
	h.fleet.draw(h.cfg.Shard.Shards)
	if slices.Equal(before.Members(), h.fleet.shards.Members()) {
		h.rehome(now)
		return
	}
	h.moves.begin(now, before, h.fleet.shards, len(h.fleet.owners))
	h.moves.carry(h.rehome(now))
}

// takeMoves hands out the changes of the map that are over: those after which nothing
// waits in two queues any more, or another change came.
func (h *handover) takeMoves(now time.Time) []Move {
	if h.between.Empty() {
		h.moves.end(now)
	}
	return h.moves.take()
}

// view is the replicas that this one knows, itself included, by their ids.
func (h *handover) view() (views []PeerView) {
	for _, p := range h.fleet.sorted {
		views = append(views, h.viewOf(p))
	}
	self := h.viewOf(h.fleet.self)
	self.Leaving, self.LedgerLost = h.fleet.leaving, h.silent
	views = append(views, self)
	slices.SortFunc(views, func(a, b PeerView) int { return strings.Compare(a.ID, b.ID) })
	return views
}

func (h *handover) viewOf(p *peer) PeerView {
	v := PeerView{
		ID: p.id, Incarnation: p.incarnation, Version: p.version, Live: p.live, Reachable: p.up && !p.out.stalled,
		Leaving: p.leaving, LedgerLost: p.lost, Differs: p.differs,
	}
	for range p.homed.All() {
		v.TicketsThere++
	}
	for range h.queues.set.Of(p.id) {
		v.TicketsHere++
	}
	return v
}

// PeerView is a replica as this one sees it.
type PeerView struct {
	ID          string
	Incarnation uint64
	// Version is the build that it runs, if it says so.
	Version string
	// Live: gossip says so. Reachable: messages pass and are acknowledged.
	Live, Reachable bool
	// Leaving: it hands its shards over. LedgerLost: the ledger is out of its
	// reach.
	Leaving, LedgerLost bool
	// Differs names the settings in which it differs from this one, separated by commas.
	Differs string
	// TicketsThere are requests of this replica that wait in its queues,
	// TicketsHere its requests that wait in this one's.
	TicketsThere, TicketsHere int
}
