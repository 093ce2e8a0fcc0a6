package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// Outcome is how a request's time in flow control ended; see the constants.
type Outcome = core.Outcome

// The outcomes, as package core documents them.
const (
	Dispatched              = core.Dispatched
	RejectedCapacity        = core.RejectedCapacity
	RejectedNoEndpoints     = core.RejectedNoEndpoints
	RejectedOther           = core.RejectedOther
	EvictedTTL              = core.EvictedTTL
	EvictedNoEndpoints      = core.EvictedNoEndpoints
	EvictedContextCancelled = core.EvictedContextCancelled
	EvictedOther            = core.EvictedOther
)

// Obstacle is what stands in the way of a request that waits.
type Obstacle = core.Obstacle

// The obstacles, as package core documents them.
const (
	NoObstacle   = core.NoObstacle
	PoolFull     = core.PoolFull
	FlowLimit    = core.FlowLimit
	GroupMaximum = core.GroupMaximum
	NoEndpoints  = core.NoEndpoints
	LedgerLost   = core.LedgerLost
)

// Refusal is the error of a request that there was no room for, and says what had none.
type Refusal = shard.Refusal

// Errors of EnqueueAndWait, to be tested with errors.Is.
var (
	ErrQueueFull        = core.ErrQueueFull
	ErrFlowLimit        = core.ErrFlowLimit
	ErrNoEndpoints      = core.ErrNoEndpoints
	ErrTTLExpired       = core.ErrTTLExpired
	ErrContextCancelled = core.ErrContextCancelled
	ErrEvicted          = core.ErrEvicted
	ErrShuttingDown     = core.ErrShuttingDown
)

// Usage is what a request really cost, for Release.
type Usage = core.Usage

// Controller is the flow controller of one replica for one pool. Its methods
// are safe for concurrent use.
type Controller struct {
	options  options
	driver   driver
	limiter  limiter
	signals  signals
	readings atomic.Int32 // Readings

	nextSeq  atomic.Uint64
	draining atomic.Bool
	pending  atomic.Int64 // requests that are waiting or in flight
	waiting  atomic.Int64 // those that are waiting
	idle     chan struct{}
	closed   sync.Once
	counted  atomic.Int32 // core.Counted: how requests at endpoints are
}

// Check reports what is wrong with options: what NewController and Reconfigure would say.
func Check(opts ...Option) error {
	_, err := newOptions(opts)
	return err
}

// NewController starts a flow controller on the ledger, which stays the
// caller's to close. It knows of no endpoints until Observe is called, unless it
// was given WithLimit. Close must be called to stop it.
func NewController(ledger store.Ledger, opts ...Option) (*Controller, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	c := &Controller{options: o, idle: make(chan struct{}, 1)}
	c.nextSeq.Store(o.incarnation)
	c.limiter = newLimiter(o.detector)
	pause := time.Millisecond
	if store.IsInline(ledger) {
		pause = 0 // a turn costs no round trip
	}
	k := core.New(o.coreConfig(pause))
	if n, ok := o.detector.(fixed); ok {
		n.open(time.Now(), k)
	}
	c.driver.start(k, ledger, &c.options)
	return c, nil
}

// EnqueueAndWait waits until the request may go to the pool, and returns
// Dispatched, or until it is clear that it may not, and returns how and an error
// that says why. A dispatched request holds a slot of the fleet's limit until
// Release; every other outcome holds nothing.
//
// When ctx ends while the request waits, the outcome is EvictedContextCancelled
// and the error wraps both ErrContextCancelled and the context's cause. A grant
// that comes at the same moment wins: the outcome is then Dispatched.
func (c *Controller) EnqueueAndWait(ctx context.Context, r *Request) (Outcome, error) {
	if r.seq != 0 {
		return RejectedOther, errors.New("enqueue: a Request can be enqueued once")
	}
	c.pending.Add(1)
	if c.draining.Load() {
		c.done()
		c.decided(r, RejectedOther)
		return RejectedOther, ErrShuttingDown
	}
	r.seq = c.nextSeq.Add(1)
	if c.options.observer != nil {
		r.enqueued = time.Now()
	}
	r.decided = c.signals.get()
	c.waiting.Add(1)
	c.driver.post(event{do: (*driver).enqueued, request: r})
	select {
	case <-r.decided:
	case <-ctx.Done():
		err := fmt.Errorf("%w: %w", ErrContextCancelled, context.Cause(ctx))
		c.driver.post(event{do: (*driver).cancelled, seq: r.seq, err: err})
		<-r.decided
	}
	c.waiting.Add(-1)
	c.signals.put(r.decided)
	outcome, err := r.outcome, r.err
	if outcome == Dispatched {
		r.held.Store(true)
	} else {
		c.done()
	}
	c.decided(r, outcome)
	return outcome, err
}

// Release gives the slot of a dispatched request back and settles what it cost.
// Only the first call for a request does anything.
func (c *Controller) Release(r *Request, u Usage) {
	if r.held.CompareAndSwap(true, false) {
		c.driver.post(event{do: (*driver).released, seq: r.seq, usage: u})
		c.done()
	}
}

// Waiting returns how many requests wait here at the moment.
func (c *Controller) Waiting() int { return int(c.waiting.Load()) }

// Bounded reports whether endpoints have limits of their own, so that it counts which one a
// request prefers. Elsewhere it goes where its ingress chooses in the end.
func (c *Controller) Bounded() bool { return core.Counted(c.counted.Load()) == core.Bounded }

// Place says to which endpoint a dispatched request went, by its address.
func (c *Controller) Place(r *Request, endpoint string) {
	if r.held.Load() && endpoint != r.at.Endpoint && core.Counted(c.counted.Load()) != core.NotCounted {
		r.at.Endpoint = endpoint
		seq := r.seq
		c.driver.post(event{do: func(d *driver, _ time.Time, _ *event) { d.core.Place(seq, endpoint) }})
	}
}

// MayPlace asks whether a dispatched request may go to an endpoint, by its address, and
// counts it there if so. It may where endpoints have no limits of their own, and to the one
// that Granted names; elsewhere if the ledger left this replica room. One that was not
// dispatched by the controller is not counted, and may go anywhere.
func (c *Controller) MayPlace(r *Request, endpoint string) bool {
	if !c.Bounded() || !r.held.Load() || endpoint == r.at.Endpoint {
		c.Place(r, endpoint)
		return true
	}
	may := make(chan bool, 1)
	c.driver.post(event{do: func(d *driver, now time.Time, _ *event) { may <- d.core.MayPlace(now, r.seq, endpoint) }})
	select {
	case ok := <-may:
		if ok {
			r.at.Endpoint = endpoint
		}
		return ok
	case <-c.driver.stopped:
		return true // nobody counts any more
	}
}

// Others returns what the other replicas have in flight at each endpoint, by its
// address, as the ledger last told. The map is not to be changed.
func (c *Controller) Others() map[string]store.Load {
	if m := c.driver.others.Load(); m != nil {
		return *m
	}
	return nil
}

// Load returns how many requests of the fleet are in flight and how many wait, as the
// ledger last told. It costs next to nothing.
func (c *Controller) Load() (inFlight, waiting int64) {
	return c.driver.inFlight.Load(), c.driver.waiting.Load()
}

// Progress tells what a dispatched request has cost so far. What is more than it
// was charged is settled now and not at the end.
func (c *Controller) Progress(r *Request, u Usage) {
	if r.held.Load() {
		c.driver.post(event{do: (*driver).progressed, seq: r.seq, usage: u})
	}
}

func (c *Controller) decided(r *Request, outcome Outcome) {
	if c.options.observer == nil {
		return
	}
	var waited time.Duration
	if !r.enqueued.IsZero() {
		waited = time.Since(r.enqueued)
	}
	c.options.observer.Decided(r.Flow, outcome, waited, r.Trace)
}

// done counts a request out, and tells a drain when the last one is.
func (c *Controller) done() {
	if c.pending.Add(-1) == 0 && c.draining.Load() {
		select {
		case c.idle <- struct{}{}:
		default:
		}
	}
}

// Responsive waits until the controller's goroutine takes in what it is told, which is at
// once unless it is stuck; or fails as View does. It costs next to nothing.
func (c *Controller) Responsive(ctx context.Context) error {
	here := make(chan struct{})
	c.driver.post(event{do: func(*driver, time.Time, *event) { close(here) }})
	select {
	case <-here:
		return nil
	case <-c.driver.stopped:
		return ErrShuttingDown
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Turns returns how many turns were taken and how many requests they granted
// here.
func (c *Controller) Turns() (turns, grants uint64) {
	return c.driver.turns.Load(), c.driver.grants.Load()
}

// Observe takes in the endpoints of the pool as they are now, and works out how
// many requests they take in flight. Call it when they change, and for a
// detector that reads metrics whenever there are new readings.
func (c *Controller) Observe(ctx context.Context, endpoints []policies.EndpointAccessor) {
	c.driver.post(event{do: func(d *driver, now time.Time, _ *event) {
		c.counted.Store(int32(d.core.SetEndpoints(now, c.limiter.bounds(endpoints))))
		pool := c.limiter.observe(ctx, now, endpoints, d.core.InFlight())
		c.readings.Store(int32(c.limiter.readings(pool, endpoints)))
		d.core.SetPool(now, pool)
	}})
}

// Readings returns how the saturation detector fared with the endpoints' own metrics at
// the last Observe.
func (c *Controller) Readings() Readings { return Readings(c.readings.Load()) }

// Reconfigure changes what the options say that are about queues, policies and limits:
//
//	bands      WithBand, WithDefaultBand, WithNegativeBand
//	flows      WithWeights, WithLimits, WithGroups, WithMaxima, WithGroupGuarantees
//	the pool   WithSaturationDetector or WithLimit, WithUsageLimit, WithGuarantees, WithBandPolicy, WithTokenCounts
//	waiting    WithCapacity, WithTTL, WithEviction, WithoutEviction
//
// Of bands only those given hold from now on. Any other that is left out holds as
// NewController was given it, whatever an earlier call said. Options of the replica, its
// ledger and its fleet are ignored. No waiting request loses its place. A changed detector is
// asked at the next Observe.
func (c *Controller) Reconfigure(opts ...Option) error {
	o, err := newOptions(append([]Option{func(o *options) {
		*o = c.options
		o.defaultBand, o.negativeBand, o.bands = shard.BandConfig{}, shard.BandConfig{}, make(map[int]shard.BandConfig)
	}}, opts...))
	if err != nil {
		return fmt.Errorf("reconfigure: %w", err)
	}
	c.driver.post(event{do: func(d *driver, now time.Time, _ *event) {
		c.limiter.detector = o.detector
		d.core.Reconfigure(now, o.coreConfig(0))
		if n, ok := o.detector.(fixed); ok {
			n.open(now, d.core)
		}
	}})
	return nil
}

// Retire hands this replica's shards over: from now on other replicas queue its
// requests and theirs. It goes on as an ingress.
func (c *Controller) Retire() {
	if c.options.fleet == nil {
		return
	}
	c.driver.post(event{do: func(d *driver, now time.Time, _ *event) { d.core.Retire(now) }})
	c.options.fleet.Retire()
}

// Drain refuses new requests with ErrShuttingDown, hands the shards over and
// waits for the other requests, the waiting ones included, to be dispatched and
// released, and for other replicas' tickets to be gone; or for ctx to end.
func (c *Controller) Drain(ctx context.Context) error {
	c.draining.Store(true)
	c.Retire()
	for c.pending.Load() > 0 {
		select {
		case <-c.idle:
		case <-ctx.Done():
			return fmt.Errorf("drain with %d requests left: %w", c.pending.Load(), ctx.Err())
		}
	}
	if c.options.fleet == nil {
		return nil
	}
	if err := c.driver.waitRetired(ctx); err != nil {
		return fmt.Errorf("drain while other replicas' tickets wait here: %w", err)
	}
	return nil
}

// Close stops the controller: whoever still waits gets EvictedOther and
// ErrShuttingDown, the lease in the ledger ends, and the driver's goroutines are
// gone when it returns. Drain first to lose nobody. It may be called again.
func (c *Controller) Close() {
	c.closed.Do(func() {
		c.draining.Store(true)
		c.driver.stop()
	})
}

// Superseded is closed when another process has taken this replica's id: nothing
// is dispatched any more, and the process should end.
func (c *Controller) Superseded() <-chan struct{} { return c.driver.superseded }
