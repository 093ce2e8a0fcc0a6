package core

import (
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// View is the core as an operator sees it.
type View struct {
	Replica    string
	Ledger     LedgerState
	Generation uint64
	// Now is the time by the ledger's clock, Answered when the last turn that was answered
	// began, by the same; zero if there was none. Totals are of that turn. TurnTook is how
	// long turns take of late, on average.
	Now, Answered time.Time
	TurnTook      time.Duration
	// Waiting and InFlight are the requests whose connections are here.
	Waiting, InFlight int
	// Permits is how many further requests this replica may let go without a question.
	Permits int64
	// InLine is how many of those that wait stand in line here, ahead of slots. Places there
	// that no request has taken are not among them.
	InLine int
	// Revoking are revoked requests that are still in flight.
	Revoking int64
	// Pool is what the endpoints take, Totals the figures of the whole fleet.
	Pool   Pool
	Totals Totals
	Bands  []BandView
	// Groups are those that are guaranteed something, by their paths.
	Groups []GroupView
	// Fill is how full the buffer of all bands together is, over the fleet.
	Fill  shard.Fill
	Flows []shard.FlowView
	// Shards is the shard map as this replica draws it.
	Shards *shard.Map
	// Peers are the replicas this one knows, itself included, by their ids.
	Peers []PeerView
	// Lost are those whose leases ended without a sign that their requests did, as the
	// ledger last told; what they held counts.
	Lost []store.Lost
	// Apart are replicas that gossip with this one and keep another ledger.
	Apart []coordinator.Apart
	// FailedPicks is how often a fairness policy failed to choose.
	FailedPicks uint64
	// Tallies count what concerned other replicas.
	Tallies Tallies
}

// GroupView is a group that is guaranteed something.
type GroupView struct {
	Path string
	// Share is the account of that, over the fleet and all priorities, as the ledger last told.
	Share store.Guarantee
}

// Tallies count what concerned other replicas.
type Tallies struct {
	// Forwarded is the tickets handed to other replicas, repeated ones not
	// counted; Moves the changes of the shard map, and Moved the waiting requests
	// that were moved by them.
	Forwarded, Moves, Moved uint64
	// Revoked is requests in flight that the ledger revoked, ByFloat those that were let go
	// by float, FromLine those that went from the line.
	Revoked, ByFloat, FromLine uint64
}

// View returns a copy of what there is to see.
func (c *Core) View(now time.Time) View {
	h := &c.handover
	v := View{
		Replica: c.cfg.Replica, Ledger: c.exchange.state(), Generation: c.exchange.generation,
		Now: c.exchange.clock.at(now), TurnTook: c.exchange.pace,
		Waiting: c.requests.waiting - c.requests.ahead, InFlight: c.requests.inFlight, Permits: c.float.permits(now), InLine: c.line.here(), Revoking: int64(len(c.revocations.ending)),
		Pool: c.bands.pool, Totals: c.bands.totals, Bands: c.bands.view(), Fill: c.queues.set.FillOfAll(),
		FailedPicks: c.queues.set.FailedPicks(), Shards: h.fleet.shards, Peers: h.view(), Apart: h.fleet.apart, Flows: c.queues.set.Flows(), Lost: slices.Clone(c.bands.lostForLong()),
		Tallies: Tallies{Forwarded: h.forwarded, Moves: h.moves.total, Moved: h.moves.moved, Revoked: c.revocations.total, ByFloat: c.float.total, FromLine: c.line.total},
	}
	if !c.exchange.leased.IsZero() {
		v.Answered = c.exchange.clock.at(c.exchange.leased)
	}
	v.Pool.Limit = c.bands.limit()
	for i := range v.Bands {
		v.Bands[i].Share = c.guarantees.ledgers[class{priority: v.Bands[i].Priority}]
	}
	for c, account := range c.guarantees.ledgers {
		if c.group != "" {
			v.Groups = append(v.Groups, GroupView{Path: c.group, Share: account})
		}
	}
	slices.SortFunc(v.Groups, func(a, b GroupView) int { return strings.Compare(a.Path, b.Path) })
	return v
}

// Authority returns how many requests this replica has in flight, how many more it would let
// go without a question by its float, and how many more it would have in flight at most.
func (c *Core) Authority(now time.Time) (inFlight, permits, room int64) {
	return int64(c.requests.inFlight), c.float.permits(now), c.float.room(now)
}

// InLine is how many tickets stand in line here, of those whose requests have come and of those
// whose have not.
func (c *Core) InLine() int { return len(c.line.waiting) }

// Generation is the ledger's generation as the core last learnt it.
func (c *Core) Generation() uint64 { return c.exchange.generation }

// LedgerState returns how the core stands with the ledger.
func (c *Core) LedgerState() LedgerState { return c.exchange.state() }

// Totals returns what the ledger last told of the fleet.
func (c *Core) Totals() Totals { return c.bands.totals }

// Lost are the replicas that are lost to the ledger, as it last told. It is valid until the
// next event.
func (c *Core) Lost() []store.Lost { return c.bands.lostForLong() }

// InFlight returns how many requests the fleet has in flight, as last learnt.
func (c *Core) InFlight() int64 {
	return max(c.bands.totals.InFlight, int64(c.requests.inFlight))
}

// LostInFlight is how many requests in flight are counted for lost replicas.
func (v View) LostInFlight() (sum int64) {
	for _, l := range v.Lost {
		sum += l.Held
	}
	return sum
}

// Saturation is how full the pool is as the ledger counts, 1 being full; a pool
// without endpoints is full, and so is one that takes nothing, since no reading of its
// endpoints is fresh.
func (v View) Saturation() float64 {
	if v.Pool.Endpoints == 0 || v.Pool.Limit <= 0 {
		return 1
	}
	return float64(v.Totals.occupied()) / float64(v.Pool.Limit)
}
