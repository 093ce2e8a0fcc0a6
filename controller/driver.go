package controller

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// driver runs a core: it is the only place with goroutines. One of them feeds
// the core; where the ledger is outside the process, a second one takes the
// turns, so that requests are taken in while a turn is under way.
type driver struct {
	options *options
	core    *core.Core
	ledger  store.Ledger
	clock   clock // of the loop alone

	mu       sync.Mutex
	inbox    []event
	asleep   bool // the loop waits to be woken
	stopping bool
	kick     chan struct{}

	sharing    *sharing              // nil without a fleet
	statements chan *store.Statement // nil: turns are taken inline
	cancel     context.CancelFunc
	stopped    chan struct{}
	goroutines sync.WaitGroup

	// Of the loop alone.
	revocable map[uint64]chan struct{} // of requests in flight, by their numbers: closed to end them
	state     core.LedgerState
	lost      []string // replicas that were lost to the ledger
	leaving   await
	retired   await

	superseded    chan struct{}
	turns, grants atomic.Uint64
	others        atomic.Pointer[map[string]store.Load]
	inFlight      atomic.Int64 // of the fleet, as the ledger last told
	waiting       atomic.Int64
}

func (d *driver) start(c *core.Core, ledger store.Ledger, o *options) {
	ctx, cancelFunc := context.WithCancel(context.Background())
	d.core, d.ledger, d.options, d.clock, d.revocable = c, ledger, o, clock{read: o.readClock, most: o.lease}, make(map[uint64]chan struct{})
	d.kick, d.stopped, d.cancel = make(chan struct{}, 1), make(chan struct{}), cancelFunc
	if !store.IsInline(ledger) {
		d.statements = make(chan *store.Statement, 1)
		d.goroutines.Go(func() { d.takeTurns(ctx) })
	}
	d.superseded = make(chan struct{})
	if o.fleet != nil {
		d.sharing = newSharing(o, ledger, d.setMembers)
	}
	wakeups := ledger.Wakeups(ctx, o.replica)
	d.goroutines.Go(func() {
		for w := range wakeups {
			d.post(event{do: func(d *driver, now time.Time, _ *event) { d.core.Wake(now, &w) }})
		}
	})
	d.goroutines.Go(func() { d.loop(ctx) })
	if o.fleet != nil {
		d.goroutines.Go(func() { d.sharing.run(ctx) })
		o.fleet.Start(d)
	}
}

// loop feeds the core batch by batch and sleeps when there is nothing to do.
func (d *driver) loop(ctx context.Context) {
	defer close(d.stopped)
	// The alarm is an event as any other. It is set anew for what is sooner, or once it has rung,
	// and not each time that something is done before.
	var rings time.Time
	alarm := time.AfterFunc(time.Hour, func() { d.post(event{do: func(*driver, time.Time, *event) {}}) })
	defer alarm.Stop()
	var batch []event
	for {
		now := d.clock.now()
		for i := range batch {
			batch[i].do(d, now, &batch[i])
		}
		clear(batch)
		d.core.Tick(now)
		next := d.carryOut(ctx, now)

		d.mu.Lock()
		batch, d.inbox = d.inbox, batch[:0]
		d.asleep = len(batch) == 0
		stop := d.stopping && d.asleep
		d.mu.Unlock()
		if len(batch) > 0 {
			continue
		}
		if stop {
			d.core.CancelAll(now, EvictedOther, ErrShuttingDown) // whoever slipped in meanwhile
			d.decide(d.core.Ready(now).Decisions)
			return
		}
		if !rings.After(now) || next.Before(rings) {
			rings = next
			alarm.Reset(next.Sub(d.clock.now()))
		}
		<-d.kick
	}
}

// inlineTurns is how many turns the loop takes by itself before it looks at its inbox
// again: whoever waits there does not depend on the ledger having no more to say.
const inlineTurns = 8

// carryOut does what the core asks for, until it asks for nothing that can be
// done at once, and returns when it wants to be ticked: now if it was not done.
func (d *driver) carryOut(ctx context.Context, now time.Time) time.Time {
	for range inlineTurns {
		ready := d.core.Ready(now)
		d.decide(ready.Decisions)
		for _, seq := range ready.Revoked {
			d.revoke(seq)
		}
		if ready.Loads != nil {
			d.noteLoads(ready.Loads)
		}
		for i := range ready.Messages {
			d.options.fleet.Send(ready.Messages[i])
		}
		for i := range ready.Moves {
			d.noteMove(&ready.Moves[i])
		}
		for i := range ready.FailedPicks {
			d.noteFailedPick(&ready.FailedPicks[i])
		}
		d.leaving.end(ready.Left)
		d.retired.end(ready.Retired)
		switch {
		case ready.Turn == nil:
			return d.core.Next(now)
		case d.statements != nil:
			d.statements <- ready.Turn
			return d.core.Next(now)
		}
		reply, err := d.turn(ctx, ready.Turn)
		d.core.TurnDone(now, reply, err)
		d.noteTurn(err)
		d.noteLost()
	}
	return now
}

// decide wakes the callers whose waits ended.
func (d *driver) decide(decisions []core.Decision) {
	for i := range decisions {
		r := decisions[i].Tag.(*Request)
		if decisions[i].Outcome == Dispatched {
			d.grants.Add(1)
		}
		if decisions[i].Revocable {
			r.revoked = make(chan struct{})
			d.revocable[r.seq] = r.revoked
		}
		r.decide(&decisions[i], d.clock.leapt)
	}
}

// revoke tells whoever made a request that it is to be ended.
func (d *driver) revoke(seq uint64) {
	if revoked, ok := d.revocable[seq]; ok {
		delete(d.revocable, seq)
		close(revoked)
	}
}

// turn takes one turn.
func (d *driver) turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	d.turns.Add(1)
	if d.options.observer == nil {
		return d.ledger.Turn(ctx, s)
	}
	began := time.Now()
	reply, err := d.ledger.Turn(ctx, s)
	d.options.observer.TurnTaken(time.Since(began), err)
	return reply, err
}

func (d *driver) takeTurns(ctx context.Context) {
	for s := range d.statements {
		turnCtx, done := context.WithTimeout(ctx, d.options.turnTimeout)
		reply, err := d.turn(turnCtx, s)
		done()
		d.post(event{do: (*driver).turnDone, reply: reply, err: err})
	}
}

// noteTurn keeps what a turn told of the fleet, and logs a change of the ledger's state,
// once per change.
func (d *driver) noteTurn(err error) {
	if err != nil && d.sharing != nil {
		var other *store.OtherFormatError
		if errors.As(err, &other) {
			d.sharing.refused(other)
		}
	}
	totals := d.core.Totals()
	d.inFlight.Store(totals.InFlight)
	d.waiting.Store(totals.Queued)
	state := d.core.LedgerState()
	if state == d.state {
		return
	}
	before := d.state
	d.state = state
	log := d.options.logger.With(zap.String("replica", d.options.replica), zap.String("ledger", string(state)))
	switch {
	case state == core.Superseded:
		close(d.superseded)
		log.Error("another process runs under this replica id: give one of them another", zap.Error(err))
	case state == core.Outage:
		log.Warn("ledger out of reach, going on within this replica's share of the limit", zap.Error(err))
	case state == core.Slow:
		log.Warn("the ledger is slow: turns take long on average, and requests wait for them")
	case state == core.Connected && before == core.Slow:
		log.Info("the ledger is quick again")
	case state == core.Connected:
		log.Info("connected to the ledger")
	default:
		log.Info("registering with the ledger")
	}
	if (state == core.Connected || state == core.Slow) && d.sharing != nil {
		d.sharing.registered()
	}
}

// noteLost logs which replicas are lost to the ledger, once each, and which no longer.
func (d *driver) noteLost() {
	lost := d.core.Lost()
	if len(lost)+len(d.lost) == 0 {
		return
	}
	log := d.options.logger.With(zap.String("replica", d.options.replica))
	known := make([]string, 0, len(lost))
	for _, l := range lost {
		known = append(known, l.Replica)
		if !slices.Contains(d.lost, l.Replica) {
			log.Warn("a replica went silent without a sign that its requests ended: they stay counted",
				zap.String("lost", l.Replica), zap.Int64("in_flight", l.Held), zap.Duration("at_most", l.For))
		}
	}
	for _, id := range d.lost {
		if !slices.Contains(known, id) {
			log.Info("the requests of a replica that went silent count no more: it is back, its process has ended, or they would have by now", zap.String("lost", id))
		}
	}
	d.lost = known
}

// noteLoads keeps the others' loads where they can be looked up.
func (d *driver) noteLoads(loads []store.Load) {
	others := make(map[string]store.Load, len(loads))
	for _, l := range loads {
		others[l.Endpoint] = l
	}
	d.others.Store(&others)
}

// noteMove logs a change of the shard map.
func (d *driver) noteMove(m *core.Move) {
	d.options.logger.Info("shards moved", zap.String("replica", d.options.replica), zap.Uint64("version", m.Version),
		zap.Strings("joined", m.Joined), zap.Strings("left", m.Left),
		zap.Int("shards", m.Shards), zap.Int("tickets", m.Tickets), zap.Duration("took", m.Took))
}

// noteFailedPick logs that a policy failed to choose.
func (d *driver) noteFailedPick(p *shard.FailedPick) {
	d.options.logger.Warn("the fairness policy failed to choose a flow: requests of its band wait; further failures are only counted",
		zap.String("replica", d.options.replica), zap.Int("priority", p.Priority), zap.Stringer("policy", p.Policy), zap.Error(p.Err))
}

// leave evicts whoever waits and ends this replica's lease, or returns when ctx ends.
func (d *driver) leave(ctx context.Context) {
	left := make(chan struct{})
	d.post(event{do: func(d *driver, now time.Time, _ *event) {
		d.core.CancelAll(now, EvictedOther, ErrShuttingDown)
		d.core.Leave()
		d.leaving.add(left)
	}})
	select {
	case <-left:
	case <-ctx.Done():
	}
}

// waitRetired returns once no other replica's ticket waits here, or ctx ends.
func (d *driver) waitRetired(ctx context.Context) error {
	retired := make(chan struct{})
	d.post(event{do: func(d *driver, _ time.Time, _ *event) { d.retired.add(retired) }})
	select {
	case <-retired:
	case <-d.stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// stop evicts whoever waits, takes leave of the ledger and ends the goroutines.
func (d *driver) stop() {
	ctx, cancelWait := context.WithTimeout(context.Background(), d.options.turnTimeout)
	defer cancelWait()
	d.leave(ctx)
	if d.options.fleet != nil {
		if err := d.options.fleet.Leave(ctx); err != nil {
			d.options.logger.Warn("the other replicas were not informed that this one leaves; they will notice", zap.Error(err))
		}
	}
	d.mu.Lock()
	d.stopping = true
	wake := d.asleep
	d.asleep = false
	d.mu.Unlock()
	if wake {
		d.kick <- struct{}{}
	}
	<-d.stopped
	d.cancel()
	if d.statements != nil {
		close(d.statements)
	}
	d.goroutines.Wait()
}

// await is who waits for something that a Ready says.
type await struct{ waiting []chan<- struct{} }

func (a *await) add(done chan<- struct{}) { a.waiting = append(a.waiting, done) }

// end tells those who wait that it is so.
func (a *await) end(so bool) {
	if !so || len(a.waiting) == 0 {
		return
	}
	for _, done := range a.waiting {
		close(done)
	}
	a.waiting = nil
}
