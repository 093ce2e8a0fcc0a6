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

	holding     holding
	handover    handover // with the other replicas
	line        line
	float       float
	ownCharges  ownCharges
	settlements settlements
	revocations revocations
	limits      limits
	maxima      maxima
	loads       loads
	buffer      buffer
	guarantees  guarantees
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
	e := &c.exchange
	*e = exchange{
		replica: cfg.Replica, incarnation: cfg.Incarnation, timings: &c.cfg.Timings,
		jitter: rand.New(rand.NewPCG(cfg.Seed, cfg.Incarnation)), register: mark{raised: true},
	}
	c.queues = queues{set: shard.New(cfg.Shard), agenda: &e.agenda, timings: &c.cfg.Timings}
	c.bands = bands{cfg: &c.cfg, agenda: &e.agenda, clock: &e.clock, queues: &c.queues, fleet: c.members, shares: c.shares}
	c.float = newFloat(&c.cfg, e, &c.requests, &c.bands, &c.loads, &c.durations)
	c.line = line{exchange: e, requests: &c.requests, float: &c.float, loads: &c.loads, took: &c.durations}
	c.guarantees = newGuarantees(&c.cfg, &c.bands, &c.maxima)
	c.groups = groups{cfg: &c.cfg, agenda: &e.agenda, queues: &c.queues}
	c.loads = newLoads(&c.cfg, &e.agenda)
	c.loads.spends, c.loads.wants = c.float.spends, c.float.wantsAt
	c.bands.bounded = func() bool { return c.loads.bounded }
	c.revocations = newRevocations(&c.cfg, &e.agenda, &e.clock, &c.bands, &c.requests)
	c.durations = durations{timings: &c.cfg.Timings}
	c.settlements = settlements{agenda: &e.agenda, queues: &c.queues}
	c.holding = holding{cfg: &c.cfg, bands: &c.bands, charge: c.charge}
	c.ownCharges = ownCharges{timings: &c.cfg.Timings, settlements: &c.settlements}
	c.handover = handover{
		cfg: &c.cfg, exchange: e, requests: &c.requests, queues: &c.queues, bands: &c.bands, fleet: newPeers(&c.cfg),
	}
	c.limits = newLimits(&c.cfg, &e.agenda, &c.queues, c.handover.reject)
	c.maxima = newMaxima(&c.cfg, &c.bands)
	c.buffer = buffer{queues: &c.queues, reject: c.handover.reject}
	e.inbox.read = c.read
	// What the ledger told of the bands counts for what is said of the offers, and both
	// for what its messages do to them; the loads count the messages as unread; what room
	// there is, and what is settled, is known once they are read.
	e.parts = []participant{
		&c.bands, &c.queues, &c.buffer, &c.loads, &e.inbox, &c.limits, &c.maxima, &c.guarantees, &c.revocations, &c.settlements, &c.ownCharges,
		&c.groups, &c.line, &c.float, &c.durations, &c.handover,
	}
	return c
}

// members is how many replicas live that have held a lease, and how many of them have
// the ledger.
func (c *Core) members() (live, connected int) {
	live, lost := c.handover.fleet.holders()
	connected = live - lost
	if counted := c.bands.totals.Members; !c.exchange.register.raised && counted > 0 {
		connected = min(connected, counted)
	}
	return live, connected
}

// shares reports whether another replica may go on without the ledger.
func (c *Core) shares(id string) bool {
	p := c.handover.fleet.byID[id]
	return p != nil && p.live && p.holder
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
		c.lined(now, m)
	}
}

// granted dispatches a request that the ledger lets go, or gives the grant back if the
// request went away meanwhile.
func (c *Core) granted(now time.Time, m *store.Message) {
	c.float.counted++
	c.loads.granted(m.Endpoint)
	if m.Ticket == (policies.TicketID{}) {
		c.grantedNext(now, m)
		return
	}
	r := c.requests.waiting[m.Ticket]
	if r == nil {
		c.exchange.agenda.due = true
		c.loads.correct(m.Endpoint)
		c.limits.correct(m.Flow)
		c.maxima.correct(m.Group)
		c.refund(m)
		return
	}
	if r.inLine() { // granted once more, since it had been queued twice
		c.leaveLine(r)
	}
	r.charged(m)
	c.loads.arrive(r, m.Endpoint)
	c.handover.dispatched(now, r, true)
	d := c.dispatch(now, r)
	d.Endpoint, d.EndpointInFlight, d.Preferred = m.Endpoint, m.EndpointInFlight, r.prefers(m.Endpoint)
}

// refund returns the charge of a grant, or of a place in line, that is not used.
func (c *Core) refund(m *store.Message) {
	if m.Charge != 0 || m.Service != 0 {
		key := policies.FlowKey{ID: m.Flow, Priority: m.Priority}
		c.settlements.settle(account{key, m.Policy, m.Group}, -m.Charge, -m.Service, m.Counter, 0)
	}
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
		if !r.inLine() && c.float.may(now, r) {
			c.handover.dispatched(now, r, false)
			c.spend(now, r)
		}
	}
}

// bound reports whether a flow has limits of its own, or is in a group with a maximum.
func (c *Core) bound(flow policies.FlowKey) bool {
	return c.cfg.Shard.LimitOf(flow.ID).Any() || c.maxima.bind(flow)
}

// spend lets a request go by a permit of the float.
func (c *Core) spend(now time.Time, r *request) {
	b := c.bands.of(now, r.Flow.Priority)
	r.policy, r.group = b.Policy(), c.cfg.Shard.GroupOf(r.Flow)
	r.charge, r.counter = c.cfg.Shard.Charge(&r.Ticket), c.queues.set.VirtualTime(r.Flow.Priority, r.group)
	if r.charge > 0 || r.group != "" {
		r.service = c.service(r, r.charge)
		c.settlements.served(r, r.service)
	}
	c.float.spend()
	var endpoint string
	if c.loads.bounded {
		endpoint = c.float.at(now, r)
	}
	load := c.loads.load(endpoint)
	c.loads.arrive(r, endpoint)
	d := c.dispatch(now, r)
	d.ByFloat, d.Endpoint, d.EndpointInFlight, d.Preferred = true, endpoint, load, r.prefers(endpoint)
}

// service is what a request is for the groups that its flow is in, where it is charged so
// much: it does not depend on what the flow weighs, and is 1 where the policy charges nothing.
func (c *Core) service(r *request, charge float64) float64 {
	if r.group == "" {
		return 0
	}
	return c.cfg.Shard.Service(r.Flow, charge)
}

// dispatch lets a request go.
func (c *Core) dispatch(now time.Time, r *request) *Decision {
	revocable := c.revocations.dispatched(now, r)
	c.durations.began(now, r)
	c.limits.count(r.Flow.ID, 1)
	c.maxima.count(r.Flow, 1)
	c.holding.dispatched(now, r)
	c.bands.of(now, r.Flow.Priority).Capacity().InFlight++
	d := c.requests.decide(r, Dispatched, nil)
	d.Revocable = revocable
	return d
}

// evict ends a request's wait without dispatching it.
func (c *Core) evict(now time.Time, r *request, outcome Outcome, err error) {
	if r.inLine() {
		c.leaveLine(r)
	} else {
		c.handover.withdraw(now, r)
	}
	c.requests.decide(r, outcome, err)
}

// evictAll ends every wait, in the order in which the requests came.
func (c *Core) evictAll(now time.Time, outcome Outcome, err error) {
	for r := range c.requests.came.All() {
		c.evict(now, r, outcome, err)
	}
}

// budget is how long a request may wait as things are; 0 for no limit.
func (c *Core) budget(r *request) time.Duration {
	if c.bands.pool.Endpoints == 0 {
		return max(0, c.cfg.NoEndpointTTL)
	}
	ttl := c.cfg.TTL
	if own := c.cfg.Shard.Band(r.Flow.Priority).TTL; own != nil {
		ttl = *own
	}
	if r.ttl > 0 && (ttl == 0 || r.ttl < ttl) {
		return r.ttl
	}
	return ttl
}

// rebudget gives every waiting request the budget that counts now.
func (c *Core) rebudget(now time.Time) {
	for r := range c.requests.came.All() {
		c.requests.wait(r, c.budget(r))
	}
	c.expire(now)
}

// expire evicts requests whose time is up.
func (c *Core) expire(now time.Time) {
	for r := c.requests.expired(now); r != nil; r = c.requests.expired(now) {
		if c.bands.pool.Endpoints == 0 {
			c.evict(now, r, EvictedNoEndpoints, ErrNoEndpoints)
		} else {
			c.evict(now, r, EvictedTTL, ErrTTLExpired)
		}
	}
}
