package core

import (
	"math/rand/v2"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// Core is one replica's state machine for one pool. It is not safe for
// concurrent use; its driver feeds it one event at a time.
//
// It only puts its parts together: each keeps its own state and invariants, and none of
// them knows the Core, or a part that is written further up here.
type Core struct {
	cfg Config

	waits       waits
	ownShare    ownShare
	ahead       ahead
	line        line
	passing     passing
	slots       slots
	holding     holding
	charges     charges
	handover    handover // with the other replicas
	float       float
	ownCharges  ownCharges
	settlements settlements
	revocations revocations
	limits      limits
	guarantees  guarantees
	maxima      maxima
	loads       loads
	buffer      buffer
	bands       bands
	groups      groups
	queues      queues   // as owner
	exchange    exchange // with the ledger
	durations   durations
	requests    requests // as ingress

	swept time.Time
}

// New returns a core that knows of no endpoints.
func New(cfg Config) *Core {
	if cfg.Peers == (PeerBounds{}) {
		cfg.Peers = DefaultPeerBounds()
	}
	c := &Core{cfg: cfg, requests: newRequests(cfg.Replica)}
	c.requests.byBand.before = func(a, b *request) bool { return c.cfg.Shard.Before(&a.Ticket, &b.Ticket) }
	e := &c.exchange
	*e = exchange{
		replica: cfg.Replica, incarnation: cfg.Incarnation, timings: &c.cfg.Timings,
		jitter: rand.New(rand.NewPCG(cfg.Seed, cfg.Incarnation)), register: mark{raised: true},
	}
	c.queues = queues{set: shard.New(cfg.Shard), agenda: &e.agenda, timings: &c.cfg.Timings}
	c.bands = bands{cfg: &c.cfg, agenda: &e.agenda, clock: &e.clock, queues: &c.queues, requests: &c.requests, fleet: c.handover.holders, left: c.handover.left, shares: c.handover.shares}
	c.float = newFloat(&c.cfg, e, &c.requests, &c.bands, &c.loads, &c.durations)
	c.guarantees = newGuarantees(&c.cfg, &c.bands, &c.maxima, &c.durations)
	c.groups = groups{cfg: &c.cfg, agenda: &e.agenda, queues: &c.queues}
	c.loads = newLoads(&c.cfg, &e.agenda)
	c.loads.spends, c.loads.wants = c.float.spends, c.float.wantsAt
	c.bands.bounded = func() bool { return c.loads.bounded }
	c.revocations = newRevocations(&c.cfg, &e.agenda, &e.clock, &c.bands, &c.requests)
	c.durations = durations{timings: &c.cfg.Timings}
	c.settlements = settlements{agenda: &e.agenda, queues: &c.queues}
	c.charges = charges{cfg: &c.cfg, exchange: e, queues: &c.queues, settlements: &c.settlements}
	c.holding = holding{cfg: &c.cfg, bands: &c.bands, charges: &c.charges}
	c.slots = slots{
		exchange: e, requests: &c.requests, bands: &c.bands, durations: &c.durations, limits: &c.limits, maxima: &c.maxima,
		loads: &c.loads, revocations: &c.revocations, holding: &c.holding,
	}
	c.ownCharges = ownCharges{timings: &c.cfg.Timings, settlements: &c.settlements}
	c.handover = handover{
		cfg: &c.cfg, exchange: e, requests: &c.requests, queues: &c.queues, bands: &c.bands, fleet: newPeers(&c.cfg),
	}
	c.queues.offered = c.handover.offered
	c.limits = newLimits(&c.cfg, &e.agenda, &c.queues, c.handover.reject)
	c.maxima = newMaxima(&c.cfg, &c.bands)
	c.buffer = buffer{queues: &c.queues, reject: c.handover.reject}
	c.line = line{
		exchange: e, requests: &c.requests, float: &c.float, loads: &c.loads, bands: &c.bands, took: &c.durations,
		slots: &c.slots, charges: &c.charges, handover: &c.handover, surplus: newSurplus(c),
	}
	c.passing = passing{requests: &c.requests, float: &c.float, loads: &c.loads, bands: &c.bands, line: &c.line}
	c.ownShare = newOwnShare(c)
	c.ahead = newAhead(c)
	c.waits = waits{cfg: &c.cfg, requests: &c.requests, bands: &c.bands, handover: &c.handover, line: &c.line}
	e.inbox.read = c.read
	// What the ledger told of the bands counts for what is said of the offers, and both
	// for what its messages do to them; the loads count the messages as unread; what room
	// there is, and what is settled, is known once they are read.
	e.parts = []participant{
		&c.bands, &c.queues, &c.buffer, &c.loads, &e.inbox, &c.limits, &c.maxima, &c.guarantees, &c.revocations, &c.settlements, &c.ownCharges,
		&c.groups, &c.ahead, &c.line, &c.passing, &c.float, &c.durations, &c.handover,
	}
	return c
}

// read takes in one message of the ledger.
func (c *Core) read(now time.Time, m *store.Message) {
	if m.Kind&store.Taken != 0 {
		c.queues.set.Taken(m.Ticket, m.Counter, now)
	}
	if m.Kind&store.Dropped != 0 {
		c.queues.set.Dropped(m.Ticket, now)
		c.handover.dropped(m.Ticket)
	}
	if m.Kind&store.AtLimit != 0 {
		c.queues.set.AtLimit(m.Ticket)
	}
	if m.Kind&store.Granted != 0 {
		c.granted(now, m)
	}
	if m.Kind&store.Lined != 0 {
		c.line.take(now, m)
	}
}

// granted dispatches a request that the ledger lets go, or gives the grant back if the
// request went away meanwhile, or the endpoint did and no other has room.
func (c *Core) granted(now time.Time, m *store.Message) {
	c.float.counted++
	c.loads.granted(m.Endpoint)
	if m.Ticket == (policies.TicketID{}) {
		c.line.granted(now, m)
		return
	}
	r := c.requests.waits(m.Ticket)
	if r == nil {
		c.returnSlot(m)
		c.charges.refund(m)
		return
	}
	if r.inLine() { // granted once more, since it had been queued twice
		c.line.leave(r)
	}
	if r.ahead() { // whoever is first goes instead, if anybody is there
		c.line.take(now, m)
		c.line.granted(now, m)
		return
	}
	if c.loads.nowhere(now, m.Endpoint) {
		c.returnSlot(m)
		r.charged(m)
		c.handover.dispatched(now, r, true)
		c.charges.giveBack(r, c.charges.perMinute(r.Flow.ID, r.InputTokens+r.OutputTokens))
		c.handover.stay(now, r)
		return
	}
	if r.seq != r.ID.Seq { // by a ticket that was ahead of it
		c.requests.goFirst(r)
	}
	r.charged(m)
	c.charges.expected(r)
	c.handover.dispatched(now, r, true)
	c.slots.take(now, r, m.Endpoint, m.EndpointInFlight)
}

// returnSlot has the slot of a grant stated that no request uses.
func (c *Core) returnSlot(m *store.Message) {
	c.exchange.agenda.due = true
	c.loads.correct(m.Endpoint)
	c.limits.correct(m.Flow)
	c.maxima.correct(m.Group)
}

// spendOnWaiting lets requests go by permits that came while they waited here: those that
// arrived while the turn was under way, and more at a ledger that is far away. Nobody waits
// for capacity, so their order is the one in which they came.
func (c *Core) spendOnWaiting(now time.Time) {
	if c.requests.asking == 0 {
		return
	}
	for r := range c.requests.came.All() {
		if c.float.permits(now) == 0 {
			return
		}
		if !r.ahead() && !r.inLine() && c.float.may(now, r) {
			c.handover.dispatched(now, r, false)
			c.spend(now, r)
		}
	}
}

// bound reports whether a flow has limits of its own, or is in a group with a maximum.
func (c *Core) bound(flow policies.FlowKey) bool {
	return c.limits.bind(flow) || c.maxima.bind(flow)
}

// mayStand reports whether a request that was put in line may stand there as the configuration
// is now: its band goes by the policy in whose book it is charged, and what is in flight of its
// flow and its groups is not counted.
func (c *Core) mayStand(now time.Time, r *request) bool {
	return r.policy == c.bands.of(now, r.Flow.Priority).Policy() && !c.limits.bind(r.Flow) && !c.cfg.Shard.CountsAround(r.Flow)
}

// fill has those go who may in the slots of this replica that are free: who passes, and then who
// stands in line. It reports whether anybody did.
func (c *Core) fill(now time.Time) bool {
	passed := c.pass(now)
	return c.line.moveUp(now) || passed
}

// pass has those go who pass, and reports whether anybody did.
func (c *Core) pass(now time.Time) (went bool) {
	for r, endpoint := c.passing.next(now); r != nil; r, endpoint = c.passing.next(now) {
		c.handover.dispatched(now, r, false)
		c.byItself(now, r, endpoint)
		c.line.revoked = max(0, c.line.revoked-1) // it goes before the line
		c.exchange.agenda.soon, went = true, true
	}
	return went
}

// spend lets a request go by a permit of the float.
func (c *Core) spend(now time.Time, r *request) {
	var endpoint string
	if c.loads.bounded {
		endpoint = c.float.at(r)
	}
	c.byItself(now, r, endpoint)
}

// byItself lets a request go that nothing was asked for, to an endpoint that is given where these
// have limits.
func (c *Core) byItself(now time.Time, r *request, endpoint string) {
	c.charges.byItself(r, c.bands.of(now, r.Flow.Priority).Policy(), c.cfg.Shard.Charge(&r.Ticket))
	if r.charge > 0 || r.group != "" {
		c.settlements.served(r, r.service)
	}
	c.float.spend()
	c.slots.take(now, r, endpoint, c.loads.load(endpoint)).ByFloat = true
}
