package policytest

import (
	"context"
	"fmt"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/policies/usagelimit"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

// dispatch is two replicas over one ledger with a pool of one slot, in time of its own.
// Each queues what comes in by it.
type dispatch struct {
	now      time.Time
	ledger   *memory.Ledger
	cores    [2]*core.Core
	seq      uint64
	requests map[uint64]*Item
	decided  []*Item // and not yet told of
	running  func()  // ends the request that has the slot
	failures []error
}

// newDispatch starts the replicas with the policies; nil stands for the usual one.
func newDispatch(fair policies.FairnessPolicy, order policies.OrderingPolicy) *dispatch {
	if fair == nil {
		fair = fairness.NewRoundRobin("usual")
	}
	if order == nil {
		order = ordering.NewFCFS("usual")
	}
	d := &dispatch{now: epoch, requests: make(map[uint64]*Item)}
	d.ledger = memory.New(memory.Config{Clock: func() time.Time { return d.now }})
	whole, err := usagelimit.NewStatic("usual", 1)
	if err != nil {
		panic(err) // 1 is a share
	}
	timings := core.DefaultTimings(time.Hour)
	timings.OutageAfter, timings.PeerTimeout = time.Hour, time.Hour
	for i := range d.cores {
		d.cores[i] = core.New(core.Config{
			Replica: fmt.Sprint("replica-", i), Incarnation: 1, UsageLimit: whole,
			Timings: timings,
			Shard: shard.Config{Shards: 16, OffersPerBand: 32, Idle: time.Hour, Band: func(int) shard.BandConfig {
				return shard.BandConfig{MaxRequests: 1 << 30, MaxBytes: 1 << 40, Fairness: fair, Ordering: order}
			}},
		})
		d.cores[i].SetPool(d.now, core.Pool{Endpoints: 1, Limit: 0})
	}
	d.settle(8) // both register
	return d
}

// enqueue has the item wait at a replica, as of now; at an even number that is the first.
func (d *dispatch) enqueue(replica int, flow string, i *Item) {
	d.seq++
	d.now = d.now.Add(time.Millisecond)
	i.Key, i.At = policies.FlowKey{ID: flow}, d.now
	d.requests[d.seq] = i
	if !i.Until.IsZero() {
		i.Until = d.now.Add(i.Until.Sub(epoch))
	}
	q := core.Request{Seq: d.seq, Flow: i.Key, Bytes: i.Size, InputTokens: i.Input, OutputTokens: i.Output, TargetTTFT: i.TTFT, ExpectedHold: i.Expects}
	if !i.Until.IsZero() {
		q.TTL = i.Until.Sub(d.now)
	}
	d.cores[replica%2].Enqueue(d.now, q)
}

// next ends the request that has the slot, if any, and returns the one that has it then;
// nil if none has it within a while.
func (d *dispatch) next() *Item {
	if d.running != nil {
		d.running()
		d.running = nil
	}
	for _, c := range d.cores {
		c.SetPool(d.now, core.Pool{Endpoints: 1, Limit: 1})
	}
	d.settle(16)
	if len(d.decided) == 0 {
		return nil
	}
	first := d.decided[0]
	d.decided = d.decided[1:]
	return first
}

// settle lets the replicas take turns, and time pass, until one has the slot.
func (d *dispatch) settle(rounds int) {
	for range rounds {
		for _, c := range d.cores {
			d.turn(c)
		}
		if len(d.decided) > 0 {
			return
		}
		d.now = d.now.Add(30 * time.Millisecond)
	}
}

func (d *dispatch) turn(c *core.Core) {
	c.Tick(d.now)
	for {
		ready := c.Ready(d.now)
		for i := range ready.Decisions {
			decision := &ready.Decisions[i]
			seq := decision.Ticket.Seq
			if decision.Outcome != core.Dispatched {
				d.failures = append(d.failures, fmt.Errorf("%v: %w", decision.Outcome, decision.Err))
				continue
			}
			d.decided = append(d.decided, d.requests[seq])
			d.running = func() { c.Release(d.now, seq, core.Usage{}) }
		}
		for i := range ready.FailedPicks {
			d.failures = append(d.failures, ready.FailedPicks[i].Err)
		}
		if ready.Turn == nil {
			return
		}
		reply, err := d.ledger.Turn(context.Background(), ready.Turn)
		c.TurnDone(d.now, reply, err)
	}
}
