package core_test

import (
	"context"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// TestSlotTimeIsShared has a flow of long requests, one of short ones and one of twice the
// weight wait for a pool of six throughout: each gets the same slot-time for its weight, and
// the long ones are charged before they end. Their answers stream, and no token of these returns what
// the time was charged.
func TestSlotTimeIsShared(t *testing.T) {
	fair, err := fairness.NewSlots("slots", 0.5)
	if err != nil {
		t.Fatal(err)
	}
	weights := map[string]float64{"long": 1, "short": 1, "heavy": 2}
	lasts := map[string]time.Duration{"long": 3 * time.Second, "short": 100 * time.Millisecond, "heavy": time.Second}
	now := time.Unix(1_800_000_000, 0)
	ledger := memory.New(memory.Config{Clock: func() time.Time { return now }})
	c := core.New(core.Config{
		Replica: "me", Incarnation: 1, UsageLimit: part(1), Timings: core.DefaultTimings(3 * time.Second),
		Shard: shard.Config{
			Shards: 16, OffersPerBand: 32, Idle: time.Minute,
			Weight: func(key policies.FlowKey) float64 { return weights[key.ID] },
			Band: func(int) shard.BandConfig {
				return shard.BandConfig{MaxRequests: 1000, MaxBytes: 1e9, Fairness: fair, Ordering: ordering.NewFCFS("fcfs")}
			},
		},
	})
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 6})
	seq := uint64(0)
	ask := func(flow string) {
		seq++
		c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: flow}, Tag: flow})
	}
	for flow := range weights {
		for range 12 {
			ask(flow)
		}
	}
	type running struct {
		seq   uint64
		flow  string
		until time.Time
	}
	var inFlight []running
	held := map[string]time.Duration{} // since the first requests are over
	settledEarly, returned, tokens := false, 0.0, int64(0)
	const step = 10 * time.Millisecond
	for end := now.Add(65 * time.Second); now.Before(end); now = now.Add(step) {
		for i := 0; i < len(inFlight); i++ {
			if r := inFlight[i]; !now.Before(r.until) {
				c.Release(now, r.seq, core.Usage{})
				inFlight = append(inFlight[:i], inFlight[i+1:]...)
				i--
			}
		}
		tokens++
		for _, r := range inFlight {
			if r.flow == "long" {
				c.Progress(r.seq, core.Usage{OutputTokens: tokens, Known: true})
			}
		}
		c.Tick(now)
		for range 3 {
			ready := c.Ready(now)
			for _, d := range ready.Decisions {
				flow := d.Tag.(string)
				inFlight = append(inFlight, running{d.Ticket.Seq, flow, now.Add(lasts[flow])})
				ask(flow)
			}
			if s := ready.Turn; s != nil {
				for i := range s.Settlements {
					if s.Settlements[i].Flow == "long" {
						returned = min(returned, s.Settlements[i].Delta)
					}
					settledEarly = settledEarly || s.Settlements[i].Flow == "long" && s.Settlements[i].Delta > 0 && s.Settlements[i].Delta < 1
				}
				reply, err := ledger.Turn(context.Background(), s)
				c.TurnDone(now, reply, err)
			}
		}
		if end.Sub(now) <= time.Minute {
			for _, r := range inFlight {
				held[r.flow] += step
			}
		}
	}
	whole := 6 * time.Minute.Seconds()
	for flow, weight := range weights {
		if part, want := held[flow].Seconds()/whole, weight/4; math.Abs(part-want) > 0.02 {
			t.Errorf("%s held %.3f of the slots, want %.2f", flow, part, want)
		}
	}
	if returned < 0 {
		t.Errorf("a long request was returned %.2f slot-seconds before its end", -returned)
	}
	if !settledEarly {
		t.Error("nothing of a long request was charged before its end")
	}
}

// TestHeldSlotsAreSettledTogether has requests of more flows than a batch takes hold their
// slots through an outage, two of each: what is settled afterwards is no more than one
// settlement for a flow, beside a batch that was under way, and comes to all of the time.
func TestHeldSlotsAreSettledTogether(t *testing.T) {
	const flows, outage = store.MaxSettlements + 76, 10 * time.Second
	fair, err := fairness.NewSlots("slots", 0.5)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	ledger := memory.New(memory.Config{Clock: func() time.Time { return now }})
	c := core.New(core.Config{
		Replica: "me", Incarnation: 1, UsageLimit: part(1), Timings: core.DefaultTimings(3 * time.Second),
		Shard: shard.Config{
			Shards: 16, OffersPerBand: 2 * flows, Idle: time.Minute,
			Band: func(int) shard.BandConfig {
				return shard.BandConfig{MaxRequests: 2 * flows, MaxBytes: 1e9, Fairness: fair, Ordering: ordering.NewFCFS("fcfs")}
			},
		},
	})
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 2 * flows})
	for i := range 2 * flows {
		c.Enqueue(now, core.Request{Seq: uint64(i), Flow: policies.FlowKey{ID: strconv.Itoa(i % flows)}})
	}
	dispatched, settlements, settled := 0, 0, 0.0
	// run takes turns, which reach the ledger or do not, until there is nothing to say.
	run := func(reachable bool) {
		for {
			ready := c.Ready(now)
			dispatched += len(ready.Decisions)
			if ready.Turn == nil {
				return
			}
			if !reachable {
				c.TurnDone(now, nil, store.ErrUnavailable)
				continue
			}
			settlements += len(ready.Turn.Settlements)
			for i := range ready.Turn.Settlements {
				settled += ready.Turn.Settlements[i].Delta
			}
			reply, err := ledger.Turn(context.Background(), ready.Turn)
			c.TurnDone(now, reply, err)
		}
	}
	run(true)
	if dispatched != 2*flows || settlements > 0 {
		t.Fatalf("%d of %d dispatched, %d settlements before any time passed", dispatched, 2*flows, settlements)
	}
	for until := now.Add(outage); now.Before(until); {
		now = now.Add(250 * time.Millisecond)
		c.Tick(now)
		run(false)
	}
	for range 10 { // it is tried again after a pause
		now = now.Add(20 * time.Millisecond)
		run(true)
	}
	if most := flows + store.MaxSettlements; settlements > most { // a batch was under way when the outage began
		t.Errorf("%d settlements for %d flows, want at most %d", settlements, flows, most)
	}
	if want := 2 * flows * (outage.Seconds() - 0.5); math.Abs(settled-want) > 1 {
		t.Errorf("%.1f slot-seconds were settled, want %.1f", settled, want)
	}
}
