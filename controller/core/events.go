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
	r := c.requests.ended.Take()
	r.Ticket = shard.Ticket{
		ID: c.requests.own(q.Seq), Flow: q.Flow, Sharer: q.Sharer, Bytes: q.Bytes,
		InputTokens: q.InputTokens, OutputTokens: q.OutputTokens, TargetTTFT: q.TargetTTFT, ExpectedHold: q.ExpectedHold, Prefer: c.loads.preferred(q.Prefer), Traced: q.Traced, Arrival: c.exchange.clock.at(now),
	}
	r.seq, r.tag, r.arrived, r.ttl = q.Seq, q.Tag, now, q.TTL
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
	if c.ahead.takes(now, r) {
		c.fill(now)
		return
	}
	c.waits.begin(now, r)
	c.pass(now)
}

// Cancel evicts a waiting request; one that is no longer waiting is left alone.
func (c *Core) Cancel(now time.Time, seq uint64, outcome Outcome, err error) {
	if r := c.requests.waits(c.requests.ticket(seq)); r != nil {
		c.waits.evict(now, r, outcome, err)
	}
}

// CancelAll evicts every waiting request, in the order in which they came.
func (c *Core) CancelAll(now time.Time, outcome Outcome, err error) {
	c.waits.evictAll(now, outcome, err)
}

// Place says to which endpoint a dispatched request went; one that is not counted is
// passed over.
func (c *Core) Place(seq uint64, endpoint string) {
	if r := c.requests.flies(c.requests.ticket(seq)); r != nil {
		c.loads.place(r, endpoint)
	}
}

// MayPlace reports whether a dispatched request may go to an endpoint, where it counts from
// then on: it was granted for that one, or the ledger left room there for this replica.
func (c *Core) MayPlace(now time.Time, seq uint64, endpoint string) bool {
	r := c.requests.flies(c.requests.ticket(seq))
	if r == nil {
		return false
	}
	r.placed = true
	if c.loads.bounded && r.endpoint != endpoint {
		if r.Prefer == "" {
			c.float.moved()
		}
		mayHave := c.loads.mayHave
		if c.exchange.outage {
			mayHave = c.ownShare.mayHave
		}
		if !mayHave(now, endpoint) {
			return false
		}
	}
	c.loads.move(r, endpoint)
	return true
}

// Progress settles what a dispatched request has cost so far where that is more
// than it was charged, so that a flow of long answers pays while they stream.
func (c *Core) Progress(seq uint64, usage Usage) {
	r := c.requests.flies(c.requests.ticket(seq))
	if r != nil {
		c.charges.progress(r, usage)
	}
}

// Release returns the slot of a dispatched request and settles what it cost; one that is
// not in flight is left alone.
func (c *Core) Release(now time.Time, seq uint64, usage Usage) {
	r := c.requests.flies(c.requests.ticket(seq))
	if r == nil {
		return
	}
	if c.revocations.ending[r.ID.Seq] {
		c.line.revoked++
	}
	byTime := c.slots.free(now, r)
	c.charges.ended(r, usage, byTime)
	c.line.ended = now
	c.requests.reuse(r)
	if !c.fill(now) {
		c.exchange.agenda.note()
	}
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
		c.waits.rebudget(now)
	}
}

// SetEndpoints says which endpoints a request may go to, and returns how requests there are
// counted. At one endpoint without a limit they are not, unless tokens are. Where they have
// limits, the pool's limit is their sum over all replicas' endpoints.
func (c *Core) SetEndpoints(now time.Time, endpoints []Endpoint) Counted {
	before := c.loads.bounded
	counted := c.loads.list(endpoints)
	if c.loads.bounded != before { // the limit is of the fleet now, or was
		c.bands.relimit(now)
	}
	return counted
}

// Reconfigure takes in what a configuration says of queues, limits, guarantees, the usage
// limit, eviction, whether tokens count, and budgets of waiting: Shard, UsageLimit,
// Guaranteed, BandWeight, Eviction, CountTokens, TTL and NoEndpointTTL. The rest of it is ignored. No
// request that waits loses its place for it.
func (c *Core) Reconfigure(now time.Time, cfg Config) {
	before := c.cfg.Shard
	c.cfg.Shard, c.cfg.UsageLimit, c.cfg.Guaranteed, c.cfg.BandWeight = cfg.Shard, cfg.UsageLimit, cfg.Guaranteed, cfg.BandWeight
	c.cfg.Eviction, c.cfg.CountTokens = cfg.Eviction, cfg.CountTokens
	c.cfg.TTL, c.cfg.NoEndpointTTL = cfg.TTL, cfg.NoEndpointTTL
	c.waits.rebudget(now)
	c.ahead.clear(now)
	c.queues.reconfigure(now, cfg.Shard, c.requests.came.All())
	c.limits.reconfigure(before, c.requests.all(false))
	c.maxima.reconfigure(before, c.requests.all(false))
	c.revocations.reconfigure()
	c.requests.relimit(c.bound)
	c.requests.reorder()
	c.bands.relimit(now)
	c.line.reconfigure(now, func(r *request) bool { return c.mayStand(now, r) })
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
	c.queues.set.Widen(c.line.pace() >= c.exchange.timings.FarTurn) // an owner need not know how long requests take elsewhere
	c.line.breakUp(now)
	c.fill(now)
	c.ahead.refill(now)
	c.spendOnWaiting(now)
	if c.exchange.superseded { // two processes under one id would be counted as one
		c.waits.evictAll(now, EvictedOther, store.ErrSuperseded)
	}
}

// Wake takes in the messages that another replica's turn left for this one.
func (c *Core) Wake(now time.Time, w *store.Wakeup) {
	c.exchange.wake(now, w)
	if w.Recall {
		c.float.recall()
		c.line.ask(c.passing.may)
		c.exchange.agenda.due = true
	}
	c.fill(now)
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
	c.waits.expire(now)
	c.holding.pass(now)
	c.handover.watch(now)
	c.line.breakUp(now)
	if now.Sub(c.swept) >= c.cfg.Timings.RepeatEvery {
		c.swept = now
		c.handover.requeue(now)
		c.queues.set.Collect(now)
		c.handover.fleet.collect(now, c.cfg.Timings.PeerKept)
	}
}
