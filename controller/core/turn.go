package core

import (
	"cmp"
	"slices"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// turn is the state of the exchange with the ledger.
type turn struct {
	underWay bool
	due      bool // there is something to say that may not wait
	touched  bool // a ticket came or went; worth a turn if it changed the offers
	register mark // everything
	resync   mark // all offers
	leave    mark // that the turn is the last
	alone    mark // that this replica dispatched by itself since it last registered

	statement  store.Statement // reused from turn to turn
	number     uint64
	answered   uint64
	registered uint64    // the number of the last turn that registered
	leased     time.Time // when the last answered turn began
	generation uint64
	readUpTo   uint64
	members    int

	settlements []store.Settlement // for the next batch
	batch       uint64
	last        time.Time // when the last turn began
	restated    time.Time // when all offers were last stated

	failing  bool      // the last turn failed
	failures int       // in a row
	since    time.Time // when the first of them began
	retry    time.Time // not before
	outage   bool      // this replica goes on by itself
	left     bool

	superseded bool // another process has this replica's id
}

// Ready is what the driver must carry out.
type Ready struct {
	// Turn is a statement to take to the ledger, or nil. TurnDone must be
	// called with its end before another is handed out.
	Turn *store.Statement
	// Decisions are waits that ended. The slice is valid until the next
	// Ready.
	Decisions []Decision
	// Revoked numbers requests in flight that are to be ended for the sake of
	// others. They stay in flight until Complete.
	Revoked []uint64
	// Messages are to be sent to other replicas. They are the driver's to keep.
	Messages []coordinator.Message
	// Moves are changes of the shard map that are over.
	Moves []Move
	// Loads are the other replicas' requests at each endpoint, if the ledger told
	// anew; nil if not.
	Loads []store.Load
	// FailedPicks are fairness policies' first failures to choose, of each band.
	FailedPicks []shard.FailedPick
	// Next is when Tick must be called at the latest.
	Next time.Time
}

// Ready hands out what there is to do.
func (c *Core) Ready(now time.Time) Ready {
	c.queues.Refill()
	if c.turn.outage {
		c.dispatchShare(now)
	}
	var ready Ready
	c.messages(now)
	if c.turnDue(now) {
		ready.Turn = c.beginTurn(now)
	}
	if c.fleet.between == 0 {
		c.endMove(now)
	}
	ready.Messages, c.outgoing = c.outgoing, nil
	ready.Moves, c.fleet.moved = c.fleet.moved, nil
	ready.Revoked, c.revoked = c.revoked, nil
	ready.Loads, c.loads.others = c.loads.others, nil
	ready.FailedPicks = c.queues.TakeFailures()
	ready.Decisions, c.decisions, c.spare = c.decisions, c.spare[:0], c.decisions
	ready.Next = c.next(now)
	return ready
}

// turnDue reports whether to take a turn now. What only tops up the offers
// waits for something else to say, as long as enough of them stand.
func (c *Core) turnDue(now time.Time) bool {
	t := &c.turn
	if t.underWay || t.left || !c.fleet.known || now.Before(t.retry) {
		return false
	}
	if t.due || c.queues.Thin() {
		return true
	}
	if t.touched && c.queues.Changed() {
		return !c.full() || now.Sub(t.last) >= c.cfg.FullPause
	}
	t.touched = false
	return now.Sub(t.last) >= c.turnInterval()
}

// full reports whether the pool was full when the ledger last told.
func (c *Core) full() bool { return c.totals.InFlight >= c.pool.Limit }

// turnInterval is the longest time between two turns.
func (c *Core) turnInterval() time.Duration {
	if c.turn.touched && c.full() {
		return min(c.cfg.FullPause, c.cfg.WaitingTurn)
	}
	if len(c.waiting) > 0 || c.queues.Len() > 0 {
		return c.cfg.WaitingTurn
	}
	return c.cfg.Lease / 3
}

func (c *Core) next(now time.Time) time.Time {
	next := now.Add(time.Hour)
	if !c.turn.underWay && !c.turn.left && c.fleet.known {
		next = c.turn.last.Add(c.turnInterval())
		if c.turn.retry.After(next) || c.turn.failing {
			next = c.turn.retry
		}
	}
	if c.deadlines.Len() > 0 && c.deadlines.Min().deadline.Before(next) {
		next = c.deadlines.Min().deadline
	}
	return c.nextMessage(next)
}

// beginTurn states the truth.
func (c *Core) beginTurn(now time.Time) *store.Statement {
	t := &c.turn
	t.underWay, t.due, t.touched = true, false, false
	t.last = now
	if c.queues.Len() > 0 && now.Sub(t.restated) >= restateEvery {
		// Level-triggered: whatever the ledger lost of the offers without
		// noticing stands again.
		t.resync.raise()
	}
	register := t.register.carry()
	resync := t.resync.carry()
	if register || resync {
		t.restated = now
	}
	t.number++
	s := &t.statement
	if n := min(len(t.settlements), store.MaxSettlements); len(s.Settlements) == 0 && n > 0 {
		s.Settlements = append(s.Settlements, t.settlements[:n]...)
		t.settlements = append(t.settlements[:0], t.settlements[n:]...)
		t.batch++
	}
	*s = store.Statement{
		Replica: c.cfg.Replica, Incarnation: c.cfg.Incarnation,
		Number: t.number, Answered: t.answered, Generation: t.generation, ReadUpTo: t.readUpTo,
		Members: c.expectedMembers(), Dead: append(s.Dead[:0], c.fleet.dead...), Register: register, Full: resync && !register, Alone: register && t.alone.carry(), Leave: t.leave.carry(),
		Bands: s.Bands[:0], Withdrawn: s.Withdrawn[:0], Offers: s.Offers[:0], Counters: s.Counters[:0], Sheddable: s.Sheddable[:0], Limited: s.Limited[:0], Loads: s.Loads[:0],
		Batch: t.batch, Settlements: s.Settlements,
	}
	for _, b := range c.bands {
		queued, bytes := c.queues.Queued(b.priority)
		s.Bands = append(s.Bands, store.Band{
			Priority: b.priority, Policy: b.policy,
			CountsService: b.counts, LiftsIdle: b.account.LiftsIdle, HalfLife: b.account.HalfLife,
			Limit: b.limit, InFlight: b.inFlight, Queued: queued, QueuedBytes: bytes, VirtualTime: b.v,
		})
	}
	offer := func(o shard.Offer) {
		s.Offers = append(s.Offers, store.Offer{
			Ticket: o.Ticket, Flow: o.Flow.ID, Priority: o.Flow.Priority,
			Rank: o.Rank, Charge: o.Charge, Score: o.Score, Idle: o.Idle, Tokens: o.Tokens,
		})
	}
	c.stateSheddable(s)
	c.stateLimited(s)
	c.stateLoads(now, s)
	if register || resync {
		c.queues.Restate(offer)
	} else {
		c.queues.Changes(offer, func(id policies.TicketID) { s.Withdrawn = append(s.Withdrawn, id) })
	}
	if register {
		c.stateCounters(s)
	}
	return s
}

// stateCounters tells a ledger that may have forgotten them what flows were served. Of
// too many it tells of those that were served most, of each band as many: an offer
// brings its flow's counter along, so that the others are only missed where their
// tickets wait at another owner.
func (c *Core) stateCounters(s *store.Statement) {
	byBand := make(map[int][]store.Counter)
	c.queues.Counters(func(key policies.FlowKey, counter float64) {
		byBand[key.Priority] = append(byBand[key.Priority], store.Counter{Flow: key.ID, Priority: key.Priority, Value: counter})
	})
	for _, b := range c.bands {
		counters := byBand[b.priority]
		if most := store.MaxCounters / len(c.bands); len(counters) > most {
			slices.SortStableFunc(counters, func(a, b store.Counter) int { return cmp.Compare(b.Value, a.Value) })
			counters = counters[:most]
		}
		s.Counters = append(s.Counters, counters...)
	}
}

// expectedMembers is how many replicas a recovering ledger should wait for. Those
// that gossip takes for dead count, too: what they hold must be known before
// anything is granted, and gossip may err.
func (c *Core) expectedMembers() int {
	live, lost := c.fleet.members()
	return max(c.turn.members, live-lost)
}

// settle notes a correction for the next batch.
func (c *Core) settle(flow policies.FlowKey, policy string, delta, counter, tokens float64) {
	c.turn.settlements = append(c.turn.settlements, store.Settlement{
		Flow: flow.ID, Priority: flow.Priority, Policy: policy, Delta: delta, Counter: counter, Tokens: tokens,
	})
	c.queues.Charged(flow, delta)
	c.turn.due = true
}

// Wake takes in the messages that another's turn left. They are read at once if they
// are the next and this replica's lease is young: a grant that has waited long on the
// way may have been given to another since. Otherwise a turn fetches them.
func (c *Core) Wake(now time.Time, w *store.Wakeup) {
	t := &c.turn
	current := w.Incarnation == c.cfg.Incarnation && w.Registered == t.registered && !t.register.raised && !t.failing
	if !current || len(w.Messages) == 0 || now.Sub(t.leased) > c.cfg.Lease/4 {
		t.due = true
		return
	}
	for i := range w.Messages {
		m := &w.Messages[i]
		if m.Number > t.readUpTo+1 {
			t.due = true
			return
		}
		if m.Number > t.readUpTo {
			t.readUpTo++
			c.read(now, m)
		}
	}
}

// TurnDone takes in how the turn that Ready handed out ended.
func (c *Core) TurnDone(now time.Time, reply *store.Reply, err error) {
	t := &c.turn
	t.underWay = false
	if err != nil {
		c.queues.Failed()
		c.turnFailed(now, err)
		return
	}
	t.failing, t.failures, t.retry = false, 0, time.Time{}
	c.clock = reply.Now.Sub(now)
	if reply.Status == store.Register {
		c.queues.Failed()
		t.generation, t.readUpTo, t.answered = reply.Generation, 0, 0
		t.register.raise()
		t.due = true
		return
	}
	if c.slept(now) { // its grants may have gone to others since
		c.queues.Failed()
		t.due = true
		return
	}
	t.answered, t.generation, t.leased = t.statement.Number, reply.Generation, t.last
	if t.register.answered() {
		t.registered = t.statement.Number
	}
	t.resync.answered()
	t.alone.answered()
	t.left = t.leave.answered()
	clear(t.statement.Settlements)
	t.statement.Settlements = t.statement.Settlements[:0]
	if t.outage {
		t.outage = false
		c.rejoin(now)
	}
	if t.alone.raised {
		// This replica went on by itself while the turn was under way, which did not say
		// so: what it grants does not count that. All of it is said again.
		c.queues.Failed()
		t.register.raise()
		t.due = true
		return
	}
	t.due = t.due || t.resync.raised || len(t.settlements) > 0
	c.learn(now, reply)
	c.learnLoads(&t.statement, reply)
	c.queues.Answered()
	for i := range reply.Messages {
		if m := &reply.Messages[i]; m.Number > t.readUpTo {
			t.readUpTo = m.Number
			c.read(now, m)
		}
	}
	c.learnRooms(now, &t.statement, reply.Rooms)
	for _, seq := range reply.Revoke {
		c.revoke(seq)
	}
}

// read takes in one message of the ledger.
func (c *Core) read(now time.Time, m *store.Message) {
	key := policies.FlowKey{ID: m.Flow, Priority: m.Priority}
	if m.Kind&store.Taken != 0 {
		c.queues.Taken(m.Ticket, m.Counter, now)
	}
	if m.Kind&store.Dropped != 0 {
		c.queues.Dropped(m.Ticket, now)
	}
	if m.Kind&store.AtLimit != 0 {
		c.queues.AtLimit(m.Ticket)
	}
	if m.Kind&store.Granted == 0 {
		return
	}
	r := c.waiting[m.Ticket]
	if r == nil { // it went away while the grant was on its way: give it back
		c.turn.due = true
		c.loads.add(m.Endpoint, load{})
		if m.Charge != 0 {
			c.settle(key, m.Policy, -m.Charge, m.Counter, 0)
		}
		return
	}
	r.policy, r.charge, r.counter = m.Policy, m.Charge, m.Counter
	r.endpoint = m.Endpoint
	c.arrive(r)
	c.dispatch(now, r)
	d := &c.decisions[len(c.decisions)-1]
	d.Endpoint, d.EndpointInFlight = m.Endpoint, m.EndpointInFlight
}

// dispatch lets a waiting request go. The owner hears of it from the ledger; a
// queue that it left before or an owner in an outage must be told.
func (c *Core) dispatch(now time.Time, r *request) {
	if r.home == c.fleet.self {
		c.queues.Dispatched(r.ID, now)
	} else if c.turn.outage {
		c.takeOut(now, r, r.home)
	}
	c.settleWait(now, r)
	c.inFlight[r.ID] = r
	c.mayRevoke(now, r)
	c.count(r.Flow, 1)
	c.band(now, r.Flow.Priority).inFlight++
	c.decide(r, Dispatched, nil)
}

// learn takes over what the ledger tells of the fleet.
func (c *Core) learn(now time.Time, reply *store.Reply) {
	members := c.totals.Members
	var mine, mineBytes int64
	for i := range reply.Bands {
		total := &reply.Bands[i]
		b := c.band(now, total.Priority)
		stated := &c.turn.statement.Bands[i]
		b.v = max(b.v, total.VirtualTime)
		mine += stated.Queued
		mineBytes += stated.QueuedBytes
		c.queues.Tell(total.Priority, total.VirtualTime, total.Queued-stated.Queued, total.QueuedBytes-stated.QueuedBytes)
	}
	c.queues.TellOthers(reply.Queued-mine, reply.QueuedBytes-mineBytes)
	c.totals = Totals{InFlight: reply.InFlight, Queued: reply.Queued, QueuedBytes: reply.QueuedBytes, Members: reply.Members}
	c.turn.members = max(1, reply.Members)
	if (policies.FollowsSaturation(c.cfg.UsageLimit) || members != reply.Members) && c.relimit(now) {
		c.turn.due = true
	}
}

// Leave makes the next turn the last: it ends this replica's lease. Nothing
// should be waiting or in flight any more; what is loses its place.
func (c *Core) Leave() {
	c.turn.leave.raise()
	c.turn.due = true
}

// Left reports whether the last turn is over.
func (c *Core) Left() bool { return c.turn.left }
