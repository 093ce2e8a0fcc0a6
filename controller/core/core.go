package core

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// Core is one replica's state machine for one pool. It is not safe for
// concurrent use; its driver feeds it one event at a time.
type Core struct {
	cfg    Config
	jitter *rand.Rand

	// As ingress: the requests whose connections are here.
	waiting   map[policies.TicketID]*request
	deadlines *heap.Heap[*request]
	inFlight  map[policies.TicketID]*request

	// As owner: the queues.
	queues *shard.Set

	fleet fleet

	pool  Pool
	bands []*band // highest priority first

	turn      turn
	clock     time.Duration // the ledger's clock is ahead of ours by this
	totals    Totals
	alone     []aloneCharge // made during the outage under way
	decisions []Decision
	spare     []Decision // the slice that Ready handed out last
	outgoing  []coordinator.Message
	sheddable *heap.Heap[*request] // in flight, the first to be revoked on top
	revoking  int64                // revoked and still in flight
	revoked   []uint64             // to be told of
	limited   limited
	loads     loads
	lastSwept time.Time
}

// Totals is what the ledger last told of the fleet.
type Totals struct {
	InFlight, Queued, QueuedBytes int64
	Members                       int
}

// Request is a request that asks to be dispatched.
type Request struct {
	// Seq numbers the replica's requests over all its incarnations.
	Seq  uint64
	Flow policies.FlowKey
	// Bytes is the size of the body; InputTokens and OutputTokens are the
	// estimates that it is charged by until the real numbers are known.
	Bytes, InputTokens, OutputTokens int64
	// TTL overrides the configured one where it is above zero.
	TTL time.Duration
	// TargetTTFT is how soon its first token should come; 0 for no target.
	TargetTTFT time.Duration
	// Tag comes back with the decision.
	Tag any
}

// Decision ends a request's wait.
type Decision struct {
	Ticket  policies.TicketID
	Tag     any
	Outcome Outcome
	// Err says why it was not dispatched.
	Err error
	// Endpoint is where a dispatched request finds the least load, by the ledger's
	// count, and EndpointInFlight that load: no endpoint had less. Empty if it did not
	// say. The request counts there until Place says that it went elsewhere.
	Endpoint         string
	EndpointInFlight int64
}

// Usage is what a request really cost.
type Usage struct {
	InputTokens, OutputTokens int64
	// Known is unset when the server did not say; the estimate then stands.
	Known bool
}

// request is a request whose connection is here, waiting or in flight.
type request struct {
	shard.Ticket
	tag           any
	arrived       time.Time // by our own clock
	ttl           time.Duration
	deadline      time.Time // by our own clock; zero means never
	deadlineIndex int
	shedScore     float64
	shedIndex     int
	revoked       bool
	alone         bool // this replica dispatched it by itself, and the ledger does not hear of it

	home     *peer               // whose queue it waits in
	homeNode list.Node[*request] // in home.homed
	number   uint64              // of the message that handed it there; 0 for not yet
	former   *peer               // whose queue it also waits in, until home has it

	charge   float64
	counter  float64
	policy   string
	endpoint string // that it is counted at
	tokens   int64  // what it is counted with there
}

// band is what the core keeps per priority.
type band struct {
	priority int
	policy   string
	counts   bool // its flows go by their counters
	account  policies.Account
	ceiling  int64 // how many requests may be in flight in the fleet for it to go on
	limit    int64 // the same, less what is left to replicas without the ledger
	inFlight int64
	v        float64
}

// New returns a core that knows of no endpoints.
func New(cfg Config) *Core {
	return &Core{
		cfg:     cfg,
		jitter:  rand.New(rand.NewPCG(cfg.Seed, cfg.Incarnation)),
		waiting: make(map[policies.TicketID]*request),
		deadlines: heap.New(func(a, b *request) bool { return a.deadline.Before(b.deadline) },
			func(r *request) *int { return &r.deadlineIndex }),
		inFlight:  make(map[policies.TicketID]*request),
		sheddable: newSheddable(),
		limited:   limited{inFlight: make(map[policies.FlowKey]int64), changed: make(map[policies.FlowKey]bool)},
		loads:     newLoads(),
		queues:    shard.New(cfg.Shard),
		fleet:     newFleet(&cfg),
		turn:      turn{register: mark{raised: true}, members: 1},
	}
}

// Enqueue adds a request.
func (c *Core) Enqueue(now time.Time, q Request) {
	r := &request{
		Ticket: shard.Ticket{
			ID: c.own(q.Seq), Flow: q.Flow, Bytes: q.Bytes,
			InputTokens: q.InputTokens, OutputTokens: q.OutputTokens, TargetTTFT: q.TargetTTFT, Arrival: now.Add(c.clock),
		},
		tag: q.Tag, arrived: now, ttl: q.TTL,
	}
	if c.turn.superseded {
		c.decide(r, RejectedOther, store.ErrSuperseded)
		return
	}
	if c.pool.Endpoints == 0 && c.cfg.NoEndpointTTL < 0 {
		c.decide(r, RejectedNoEndpoints, ErrNoEndpoints)
		return
	}
	c.band(now, q.Flow.Priority)
	c.waiting[r.ID] = r
	c.setDeadline(r)
	c.place(now, r, c.homeOf(r.Flow))
}

// own is the ticket of this replica's request of that number.
func (c *Core) own(seq uint64) policies.TicketID {
	return policies.TicketID{Ingress: c.cfg.Replica, Seq: seq}
}

// displace ends a waiting request whose place in the buffer is lost, or tells
// its ingress to.
func (c *Core) displace(now time.Time, id policies.TicketID) {
	if id.Ingress != c.cfg.Replica {
		c.fleet.peer(id.Ingress).reject(id.Seq)
		return
	}
	if r := c.waiting[id]; r != nil {
		c.settleWait(now, r)
		c.decide(r, RejectedCapacity, ErrQueueFull)
	}
}

// Cancel ends a waiting request; one that is no longer waiting is left alone.
func (c *Core) Cancel(now time.Time, seq uint64, outcome Outcome, err error) {
	if r := c.waiting[c.own(seq)]; r != nil {
		c.evict(now, r, outcome, err)
	}
}

// CancelAll ends every waiting request, in the order of their numbers.
func (c *Core) CancelAll(now time.Time, outcome Outcome, err error) {
	for _, r := range c.byTicket(c.waiting) {
		c.evict(now, r, outcome, err)
	}
}

func (c *Core) evict(now time.Time, r *request, outcome Outcome, err error) {
	c.withdraw(now, r)
	c.decide(r, outcome, err)
}

// withdraw takes a request off the waiting list and out of every queue.
func (c *Core) withdraw(now time.Time, r *request) {
	if r.home == c.fleet.self || r.number != 0 {
		c.takeOut(now, r, r.home)
	}
	c.settleWait(now, r)
}

// settleWait takes a request off the waiting list, and out of the queue that it
// was about to leave.
func (c *Core) settleWait(now time.Time, r *request) {
	c.release(now, r)
	delete(c.waiting, r.ID)
	c.deadlines.Remove(r)
	r.homeNode.Remove()
	r.home = nil
}

func (c *Core) decide(r *request, outcome Outcome, err error) {
	c.decisions = append(c.decisions, Decision{Ticket: r.ID, Tag: r.tag, Outcome: outcome, Err: err})
	r.tag = nil
}

// band returns what is kept of a priority, made on demand.
func (c *Core) band(now time.Time, priority int) *band {
	i, found := slices.BinarySearchFunc(c.bands, priority, func(b *band, p int) int { return p - b.priority })
	if !found {
		c.bands = slices.Insert(c.bands, i, newBand(priority, c.cfg.Shard.Band(priority).Fairness))
		c.relimit(now)
	}
	return c.bands[i]
}

// newBand returns a band under a policy. The policy's unit is part of its name in
// the ledger, so that counters of different units are never compared.
func newBand(priority int, fairness policies.FairnessPolicy) *band {
	kind, _ := policies.KindOf(fairness)
	b := &band{
		priority: priority, policy: fairness.TypedName().String(),
		counts: kind == policies.Counting, account: policies.AccountOf(fairness),
	}
	if b.account.Unit != "" {
		b.policy += " in " + b.account.Unit
	}
	return b
}

// byTicket returns the requests in the order of their numbers, so that whatever
// is done to all of them is done in the same order every time.
func (c *Core) byTicket(requests map[policies.TicketID]*request) []*request {
	sorted := make([]*request, 0, len(requests))
	for _, r := range requests {
		sorted = append(sorted, r)
	}
	slices.SortFunc(sorted, func(a, b *request) int { return a.ID.Compare(b.ID) })
	return sorted
}
