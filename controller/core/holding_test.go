package core_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

// TestSlotTimeIsShared has a flow of long requests, one of short ones and one of twice the
// weight wait for a pool of six throughout: each gets the same slot-time for its weight, and
// the long ones are charged before they end.
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
	settledEarly := false
	const step = 10 * time.Millisecond
	for end := now.Add(65 * time.Second); now.Before(end); now = now.Add(step) {
		for i := 0; i < len(inFlight); i++ {
			if r := inFlight[i]; !now.Before(r.until) {
				c.Release(now, r.seq, core.Usage{})
				inFlight = append(inFlight[:i], inFlight[i+1:]...)
				i--
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
	if !settledEarly {
		t.Error("nothing of a long request was charged before its end")
	}
}
