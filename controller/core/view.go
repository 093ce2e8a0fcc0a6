package core

import (
	"slices"
	"strings"

	"github.com/weirflow/weir/shard"
)

// LedgerState says how the core stands with the ledger.
type LedgerState string

// The states.
const (
	// Registering: the ledger has not been told everything yet.
	Registering LedgerState = "registering"
	// Connected: turns are answered.
	Connected LedgerState = "connected"
	// Outage: the ledger is out of reach and the replica goes on by itself.
	Outage LedgerState = "outage"
	// Superseded: another process has taken this replica's id, for good.
	Superseded LedgerState = "superseded"
)

// View is the core as an operator sees it.
type View struct {
	Replica    string
	Ledger     LedgerState
	Generation uint64
	// Waiting and InFlight are the requests whose connections are here.
	Waiting, InFlight int
	// Revoking are those in flight that were revoked and have not ended.
	Revoking int64
	// Pool is what the endpoints take, Totals the whole fleet's figures.
	Pool   Pool
	Totals Totals
	Bands  []BandView
	// Fill is how full the buffer of all bands together is, over the fleet.
	Fill  shard.Fill
	Flows []shard.FlowView
	// Shards is the shard map as this replica draws it.
	Shards *shard.Map
	// Peers are the replicas this one knows, itself included, by their ids.
	Peers []PeerView
	// FailedPicks is how often a fairness policy failed to choose.
	FailedPicks uint64
	// Tallies count what was done with the rest of the fleet.
	Tallies Tallies
}

// PeerView is a replica as this one sees it.
type PeerView struct {
	ID          string
	Incarnation uint64
	// Live: gossip says so. Reachable: messages pass and are acknowledged.
	Live, Reachable bool
	// Leaving: it hands its shards over. LedgerLost: the ledger is out of its
	// reach.
	Leaving, LedgerLost bool
	// TicketsThere are requests of this replica that wait in its queues,
	// TicketsHere its requests that wait in this one's.
	TicketsThere, TicketsHere int
}

// BandView is one priority.
type BandView struct {
	Priority int
	Policy   string
	// Limit is how many requests may be in flight for the band to dispatch.
	Limit int64
	// InFlight, Queued and QueuedBytes are this replica's.
	InFlight, Queued, QueuedBytes int64
	VirtualTime                   float64
	// Fill is how full the band's buffer is, over the fleet.
	Fill shard.Fill
}

// View returns a copy of what there is to see.
func (c *Core) View() View {
	v := View{
		Replica: c.cfg.Replica, Ledger: c.LedgerState(), Generation: c.turn.generation, Waiting: len(c.waiting), InFlight: len(c.inFlight),
		Revoking: c.revoking, Pool: c.pool, Totals: c.totals,
	}
	for _, b := range c.bands {
		queued, bytes := c.queues.Queued(b.priority)
		v.Bands = append(v.Bands, BandView{
			Priority: b.priority, Policy: b.policy, Limit: b.limit, InFlight: b.inFlight,
			Queued: queued, QueuedBytes: bytes, VirtualTime: b.v, Fill: c.queues.Fill(b.priority),
		})
	}
	c.queues.Flows(func(f shard.FlowView) { v.Flows = append(v.Flows, f) })
	v.Fill, v.FailedPicks = c.queues.FillOfAll(), c.queues.FailedPicks()
	v.Shards, v.Tallies = c.fleet.shards, c.fleet.tallies
	for _, p := range c.fleet.sorted {
		v.Peers = append(v.Peers, c.peerView(p))
	}
	self := c.peerView(c.fleet.self)
	self.Leaving, self.LedgerLost = c.fleet.leaving, c.fleet.lost
	v.Peers = append(v.Peers, self)
	slices.SortFunc(v.Peers, func(a, b PeerView) int { return strings.Compare(a.ID, b.ID) })
	return v
}

func (c *Core) peerView(p *peer) PeerView {
	v := PeerView{
		ID: p.id, Incarnation: p.incarnation, Live: p.live, Reachable: p.up && !p.stalled,
		Leaving: p.leaving, LedgerLost: p.lost,
	}
	for range p.homed.All() {
		v.TicketsThere++
	}
	for range c.queues.Of(p.id) {
		v.TicketsHere++
	}
	return v
}

// LedgerState returns how the core stands with the ledger.
func (c *Core) LedgerState() LedgerState {
	switch {
	case c.turn.superseded:
		return Superseded
	case c.turn.outage:
		return Outage
	case c.turn.register.raised:
		return Registering
	default:
		return Connected
	}
}

// InFlight returns how many requests the fleet has in flight, as last told.
func (c *Core) InFlight() int64 { return max(c.totals.InFlight, int64(len(c.inFlight))) }

// Saturation is how full the pool is as the ledger counts, 1 being full; a pool
// without endpoints is full, and so is one that takes nothing, since no reading of its
// endpoints is fresh.
func (v View) Saturation() float64 {
	if v.Pool.Endpoints == 0 || v.Pool.Limit <= 0 {
		return 1
	}
	return float64(v.Totals.InFlight) / float64(v.Pool.Limit)
}
