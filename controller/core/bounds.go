package core

import (
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// PeerBounds bound what another replica's tickets take here, so that a mistake or an
// impostor there costs this replica a bounded part of its memory and time. A ticket beyond
// them is handed back: its ingress queues it itself, and it is served all the same.
type PeerBounds struct {
	// Bands is how many priorities there may be here because a peer's tickets have them.
	// Each is stated in every turn, for as long as a band is kept.
	Bands int
	// Flows is how many flows a peer's tickets may open here in the time that an empty one
	// is remembered.
	Flows int
	// Tickets is how many of a peer's tickets may wait here, each about 1 kB, those
	// included that were rejected as long as it has not confirmed so; and Bytes the size of
	// the bodies that the waiting ones say they stand for.
	Tickets int
	Bytes   int64
}

// DefaultPeerBounds are far above what a replica's requests need: more than a buffer's
// 5000 waiting requests in a band, and twice the flows that a replica tells apart.
func DefaultPeerBounds() PeerBounds {
	return PeerBounds{Bands: 64, Flows: 20_000, Tickets: 50_000, Bytes: 64 << 30}
}

// opened is what a peer's tickets opened here.
type opened struct {
	bands map[int]bool
	flows int
	since time.Time // when flows were first counted
}

// admits reports whether a ticket is within the bounds of its peer, and counts what it
// opens.
func (h *handover) admits(now time.Time, p *peer, t *shard.Ticket) bool {
	bounds, o, set := &h.cfg.Peers, &p.in.opened, h.queues.set
	if set.Has(t.ID) {
		return true
	}
	if tickets, bytes := set.Held(p.id); tickets+len(p.in.rejected) >= bounds.Tickets || bytes+t.Bytes > bounds.Bytes {
		return false
	}
	if !set.Knows(t.Flow.Priority) {
		for priority := range o.bands {
			if !set.Knows(priority) {
				delete(o.bands, priority) // forgotten since
			}
		}
		if len(o.bands) >= bounds.Bands {
			return false
		}
		if o.bands == nil {
			o.bands = make(map[int]bool)
		}
		o.bands[t.Flow.Priority] = true
	}
	if !set.KnowsFlow(t.Flow) {
		if now.Sub(o.since) > h.cfg.Shard.Idle {
			o.flows, o.since = 0, now
		}
		if o.flows >= bounds.Flows {
			return false
		}
		o.flows++
	}
	return true
}

// dropped has the ingress of a ticket that the ledger here dropped queue it itself: the
// ledger knows of no lease of the ingress, which may keep another ledger. Where it was
// dropped because another owner offers it, the ingress takes no notice.
func (h *handover) dropped(ticket policies.TicketID) {
	if p := h.fleet.byID[ticket.Ingress]; p != nil && p.up {
		p.in.handBack(ticket.Seq)
	}
}

// keep queues a request of ours here, and not at its owner: that one has handed it back.
func (h *handover) keep(now time.Time, owner *peer, seq uint64) {
	if r := h.requests.waits(h.requests.own(seq)); r != nil && r.home == owner {
		r.kept = true
		h.move(now, r, h.fleet.self)
	}
}
