package core

import (
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// The events of the requests.

// Enqueue adds a request.
func (c *Core) Enqueue(now time.Time, q Request) {
	r := &request{
		Ticket: shard.Ticket{
			ID: c.requests.own(q.Seq), Flow: q.Flow, Sharer: q.Sharer, Bytes: q.Bytes,
			InputTokens: q.InputTokens, OutputTokens: q.OutputTokens, TargetTTFT: q.TargetTTFT, Prefer: c.loads.preferred(q.Prefer), Arrival: c.exchange.clock.at(now),
		},
		tag: q.Tag, arrived: now, ttl: q.TTL,
	}
	if c.exchange.superseded {
		c.requests.decide(r, RejectedOther, store.ErrSuperseded)
		return
	}
	if c.bands.pool.Endpoints == 0 && c.cfg.NoEndpointTTL < 0 {
		c.requests.decide(r, RejectedNoEndpoints, ErrNoEndpoints)
		return
	}
	r.limited = c.bound(r.Flow)
	c.bands.of(now, q.Flow.Priority)
	if c.float.takes(now, r) {
		c.spend(now, r)
		return
	}
	r.obstacle = c.obstacle(r)
	c.requests.wait(r, c.budget(r))
	c.handover.enter(now, r)
}

// Cancel evicts a waiting request; one that is no longer waiting is left alone.
func (c *Core) Cancel(now time.Time, seq uint64, outcome Outcome, err error) {
	if r := c.requests.waiting[c.requests.own(seq)]; r != nil {
		c.evict(now, r, outcome, err)
	}
}

// CancelAll evicts every waiting request, in the order in which they came.
func (c *Core) CancelAll(now time.Time, outcome Outcome, err error) { c.evictAll(now, outcome, err) }

// Place says to which endpoint a dispatched request went; one that is not counted is
// passed over.
func (c *Core) Place(seq uint64, endpoint string) {
	if r := c.requests.inFlight[c.requests.own(seq)]; r != nil {
		c.loads.move(r, endpoint)
	}
}

// MayPlace reports whether a dispatched request may go to an endpoint, where it counts from
// then on: it was granted for that one, or the ledger left room there for this replica.
func (c *Core) MayPlace(now time.Time, seq uint64, endpoint string) bool {
	r := c.requests.inFlight[c.requests.own(seq)]
	if r == nil {
		return false
	}
	if c.loads.bounded && r.endpoint != endpoint {
		if r.Prefer == "" {
			c.float.moved()
		}
		if !c.mayHave(now, endpoint) {
			return false
		}
	}
	c.loads.move(r, endpoint)
	return true
}

// mayHave reports whether an endpoint may have another of this replica's requests.
func (c *Core) mayHave(now time.Time, endpoint string) bool {
	capacity, listed := c.loads.listed[endpoint]
	switch {
	case !listed:
		return false
	case capacity == 0:
		return true
	case c.exchange.outage:
		return c.loads.here[endpoint].requests < c.shareAt(now, endpoint, capacity)
	}
	return c.float.spends(now) && c.loads.permits(endpoint) > 0
}

// Progress settles what a dispatched request has cost so far where that is more
// than it was charged, so that a flow of long answers pays while they stream.
func (c *Core) Progress(seq uint64, usage Usage) {
	r := c.requests.inFlight[c.requests.own(seq)]
	if r == nil || r.charge == 0 {
		return
	}
	usage.InputTokens, usage.OutputTokens = max(usage.InputTokens, r.InputTokens), max(usage.OutputTokens, r.OutputTokens)
	c.recharge(r, usage)
}

// Release returns the slot of a dispatched request and settles what it cost; one that is
// not in flight is left alone.
func (c *Core) Release(now time.Time, seq uint64, usage Usage) {
	r := c.requests.inFlight[c.requests.own(seq)]
	if r == nil {
		return
	}
	delete(c.requests.inFlight, r.ID)
	c.revocations.ended(r)
	c.durations.ended(now, r)
	c.limits.count(r.Flow.ID, -1)
	c.maxima.count(r.Flow, -1)
	c.loads.depart(r)
	if c.exchange.outage {
		c.limits.room(now, r.Flow.ID, 1, 1)
		c.maxima.ended(r.Flow)
	}
	c.bands.of(now, r.Flow.Priority).Capacity().InFlight--
	if c.holding.ended(now, r) && !usage.Known {
		usage = Usage{InputTokens: r.InputTokens, OutputTokens: r.OutputTokens, Known: true}
	}
	limit := c.cfg.Shard.LimitOf(r.Flow.ID)
	if usage.Known && (r.charge > 0 || limit.TokensPerMinute > 0) {
		c.recharge(r, usage)
	}
	if limit.Any() || c.maxima.bind(r.Flow) || c.loads.scarce { // others may wait for its place under the limit, or at its endpoint
		c.exchange.agenda.due = true
	}
	c.line.ended = now
	if !c.moveUp(now) {
		c.exchange.agenda.note()
	}
}

// recharge settles the difference between what a request was charged and what it
// costs.
func (c *Core) recharge(r *request, usage Usage) {
	var tokens float64
	if c.cfg.Shard.LimitOf(r.Flow.ID).TokensPerMinute > 0 {
		tokens = float64(usage.InputTokens + usage.OutputTokens - r.InputTokens - r.OutputTokens)
	}
	r.InputTokens, r.OutputTokens = usage.InputTokens, usage.OutputTokens
	c.charge(r, c.cfg.Shard.Charge(&r.Ticket), tokens)
}

// charge settles the difference between what a request was charged and what it costs, and
// takes tokens of its flow's per minute.
func (c *Core) charge(r *request, charge, tokens float64) {
	// The flow may weigh something else now than when it was charged: what its groups are
	// charged goes by what it weighed each time.
	service := c.service(r, charge)
	delta, more := charge-r.charge, service-r.service
	if delta == 0 && more == 0 && tokens == 0 {
		return
	}
	switch {
	case !r.own:
		c.settlements.settle(r.account(), delta, more, r.counter, tokens)
	case c.exchange.outage:
		c.queues.set.ChargedInOutage(r.Flow, delta, more)
	}
	r.charge, r.service, r.counter = charge, service, r.counter+delta
}

// The events of the pool and the configuration.

// SetPool says what the endpoints take.
func (c *Core) SetPool(now time.Time, p Pool) {
	before := c.bands.pool
	if before == p {
		return
	}
	c.bands.pool = p
	c.bands.relimit(now)
	c.exchange.agenda.due = true
	if (before.Endpoints == 0) != (p.Endpoints == 0) { // the other of the two budgets counts now
		c.rebudget(now)
	}
}

// SetEndpoints says which endpoints a request may go to, and returns how requests there are
// counted. At one endpoint without a limit they are not, unless tokens are. Where they have
// limits, the pool's limit is their sum over all replicas' endpoints.
func (c *Core) SetEndpoints(endpoints []Endpoint) Counted { return c.loads.list(endpoints) }

// Reconfigure takes in what a configuration says of queues, limits, guarantees, the usage
// limit, eviction, whether tokens count, and budgets of waiting: Shard, UsageLimit,
// Guaranteed, Eviction, CountTokens, TTL and NoEndpointTTL. The rest of it is ignored. No
// request that waits loses its place for it.
func (c *Core) Reconfigure(now time.Time, cfg Config) {
	before := c.cfg.Shard
	c.cfg.Shard, c.cfg.UsageLimit, c.cfg.Guaranteed = cfg.Shard, cfg.UsageLimit, cfg.Guaranteed
	c.cfg.Eviction, c.cfg.CountTokens = cfg.Eviction, cfg.CountTokens
	c.cfg.TTL, c.cfg.NoEndpointTTL = cfg.TTL, cfg.NoEndpointTTL
	c.rebudget(now)
	c.queues.reconfigure(now, cfg.Shard, c.requests.came.All())
	c.limits.reconfigure(before, c.requests.inFlight)
	c.maxima.reconfigure(before, c.requests.inFlight)
	c.revocations.reconfigure()
	c.requests.relimit(c.bound)
	c.bands.relimit(now)
	c.line.back = true // what stands there may be limited now, or kept by another policy
	c.breakUp(now)
	c.exchange.agenda.due = true
}

// The events of the fleet.

// SetMembers takes in who lives.
func (c *Core) SetMembers(now time.Time, m coordinator.Members) {
	c.handover.setMembers(now, m)
	c.bands.relimit(now)
	c.exchange.agenda.due = true
}

// SetStream takes in whether messages to and from a replica pass.
func (c *Core) SetStream(now time.Time, id string, up bool) { c.handover.setStream(now, id, up) }

// Receive takes in a message from another replica.
func (c *Core) Receive(now time.Time, m *coordinator.Message) {
	if c.handover.receive(now, m) {
		c.bands.relimit(now)
		c.exchange.agenda.due = true
	}
}

// Retire makes this replica own nothing: its tickets and the others' move to
// other owners, as far as there are any. It stays an ingress.
func (c *Core) Retire(now time.Time) { c.handover.retire(now) }

// The events of the ledger.

// TurnDone takes in how the turn that Ready handed out ended.
func (c *Core) TurnDone(now time.Time, reply *store.Reply, err error) {
	c.exchange.end(now, reply, err)
	c.breakUp(now)
	c.moveUp(now)
	c.spendOnWaiting(now)
	if c.exchange.superseded { // two processes under one id would be counted as one
		c.evictAll(now, EvictedOther, store.ErrSuperseded)
	}
}

// Wake takes in the messages that another replica's turn left for this one.
func (c *Core) Wake(now time.Time, w *store.Wakeup) {
	c.exchange.wake(now, w)
	if w.Recall {
		c.float.recall()
		c.line.asked.raise()
		c.exchange.agenda.due = true
	}
	c.moveUp(now)
}

// Leave makes the next turn the last: it ends this replica's lease. Nothing
// should be waiting or in flight any more; what is loses its place.
func (c *Core) Leave() {
	c.exchange.leave.raise()
	c.exchange.agenda.due = true
}

// The passing of time.

// Tick lets time pass: requests whose time is up are evicted, and what has been
// idle is forgotten.
func (c *Core) Tick(now time.Time) {
	c.expire(now)
	c.holding.pass(now)
	c.handover.watch(now)
	c.breakUp(now)
	if now.Sub(c.swept) >= c.cfg.Timings.RepeatEvery {
		c.swept = now
		c.handover.requeue(now)
		c.queues.set.Collect(now)
		c.handover.fleet.collect(now, c.cfg.Timings.PeerKept)
	}
}
