package core_test

import (
	"context"
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

// configured is the configuration of a replica whose bands have that policy.
func configured(policy policies.FairnessPolicy) core.Config {
	return core.Config{
		Replica: "me", Incarnation: 1, UsageLimit: part(1), Timings: core.DefaultTimings(3 * time.Second),
		Shard: shard.Config{Shards: 16, OffersPerBand: 4, Idle: time.Minute, Band: func(int) shard.BandConfig {
			return shard.BandConfig{MaxRequests: 10, MaxBytes: 1000, Fairness: policy, Ordering: ordering.NewFCFS("fcfs")}
		}},
	}
}

// oneReplica is a core with a ledger of its own, both at that time, and what takes turns
// until there is nothing to say. Its bands have that policy.
func oneReplica(now *time.Time, policy policies.FairnessPolicy) (c *core.Core, ledger *memory.Ledger, exchange func()) {
	return withLedger(now, configured(policy))
}

// besideAnother is oneReplica in a ledger in which another replica, which has nothing, holds a
// lease for as long as a test takes.
func besideAnother(t *testing.T, now *time.Time, policy policies.FairnessPolicy) (c *core.Core, ledger *memory.Ledger) {
	t.Helper()
	ledger = memory.New(memory.Config{Clock: func() time.Time { return *now }, Timings: store.Timings{Lease: time.Hour}})
	if _, err := ledger.Turn(t.Context(), &store.Statement{Replica: "another", Incarnation: 1, Number: 1, Register: true, Members: 1}); err != nil {
		t.Fatal(err)
	}
	return core.New(configured(policy)), ledger
}

func withLedger(now *time.Time, cfg core.Config) (c *core.Core, ledger *memory.Ledger, exchange func()) {
	ledger = memory.New(memory.Config{Clock: func() time.Time { return *now }})
	c = core.New(cfg)
	return c, ledger, func() {
		for ready := c.Ready(*now); ready.Turn != nil; ready = c.Ready(*now) {
			reply, err := ledger.Turn(context.Background(), ready.Turn)
			c.TurnDone(*now, reply, err)
		}
	}
}

// TestRecallOvertakesReply has the ledger recall what it gave while its reply is on the way:
// what the reply gives is not spent, and a turn that returns it follows at once.
func TestRecallOvertakesReply(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c, ledger, exchange := oneReplica(&now, fairness.NewRoundRobin("rr"))
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 10})
	seq := uint64(0)
	ask := func() {
		seq++
		c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a"}})
	}
	ask()
	exchange()
	for range 5 { // so many come that permits are of use
		now = now.Add(100 * time.Millisecond)
		c.Tick(now)
		ask()
		exchange()
	}
	ask()
	if ready := c.Ready(now); len(ready.Decisions) != 1 {
		t.Fatalf("%d requests went by a permit, want one", len(ready.Decisions))
	}
	now = now.Add(time.Second)
	c.Tick(now)
	ready := c.Ready(now)
	if ready.Turn == nil {
		t.Fatal("no turn after a second")
	}
	reply, err := ledger.Turn(context.Background(), ready.Turn)
	if err != nil || reply.FloatShare == 0 {
		t.Fatalf("the reply gives no permits: %+v, %v", reply, err)
	}
	c.Wake(now, &store.Wakeup{Incarnation: 1, Registered: 1, Recall: true})
	c.TurnDone(now, reply, nil)
	ask()
	ready = c.Ready(now)
	if len(ready.Decisions) != 0 {
		t.Error("a request went by a permit that had been recalled")
	}
	if ready.Turn == nil || ready.Turn.Float != 0 {
		t.Errorf("what was recalled is not returned at once: %+v", ready.Turn)
	}
}

// TestShortBesideATurn has turns take longer and less long: requests begin to go by permits
// when a turn takes a quarter of their time, and no longer do when it takes an eighth.
func TestShortBesideATurn(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c, ledger := besideAnother(t, &now, fairness.NewRoundRobin("rr"))
	c.SetPool(now, core.Pool{Endpoints: 2, Limit: 10})
	c.SetEndpoints(now, []core.Endpoint{{Address: "x"}, {Address: "y"}})
	seq := uint64(0)
	for _, phase := range []struct {
		turn    time.Duration
		byFloat bool
	}{{10 * time.Millisecond, false}, {15 * time.Millisecond, true}, {10 * time.Millisecond, true}, {5 * time.Millisecond, false}, {10 * time.Millisecond, false}} {
		exchange := func() {
			for ready := c.Ready(now); ready.Turn != nil; ready = c.Ready(now) {
				reply, err := ledger.Turn(context.Background(), ready.Turn)
				now = now.Add(phase.turn)
				c.TurnDone(now, reply, err)
			}
		}
		var before uint64
		for range 60 { // until the averages have settled; the last counts
			before = c.View(now).Tallies.ByFloat
			seq++
			c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a"}})
			exchange()
			now = now.Add(50*time.Millisecond - phase.turn)
			c.Release(now, seq, core.Usage{})
			exchange()
		}
		if byFloat := c.View(now).Tallies.ByFloat > before; byFloat != phase.byFloat {
			t.Errorf("turns of %v: by float %v, want %v", phase.turn, byFloat, phase.byFloat)
		}
	}
}

// TestShortRequestsAsk where there is a choice of endpoints that others have, too, since a grant
// brings the one with the least load; those that take long go by permits, and those that would
// wait long to ask.
func TestShortRequestsAsk(t *testing.T) {
	for _, tc := range []struct {
		takes     time.Duration
		away      time.Duration // the ledger
		endpoints []core.Endpoint
		byFloat   bool
	}{
		{50 * time.Millisecond, 0, []core.Endpoint{{Address: "x"}, {Address: "y"}}, false},
		{50 * time.Millisecond, 0, []core.Endpoint{{Address: "x"}}, true},
		{50 * time.Millisecond, 0, []core.Endpoint{{Address: "x", Capacity: 10}}, true},
		{50 * time.Millisecond, 0, []core.Endpoint{{Address: "x", Capacity: 5}, {Address: "y", Capacity: 5}}, false},
		{2 * time.Second, 0, []core.Endpoint{{Address: "x"}, {Address: "y"}}, true},
		{2 * time.Second, 0, []core.Endpoint{{Address: "x", Capacity: 5}, {Address: "y", Capacity: 5}}, true},
		{50 * time.Millisecond, 5 * time.Millisecond, []core.Endpoint{{Address: "x"}, {Address: "y"}}, false},
		{50 * time.Millisecond, 20 * time.Millisecond, []core.Endpoint{{Address: "x"}, {Address: "y"}}, true},
		{500 * time.Millisecond, 300 * time.Millisecond, []core.Endpoint{{Address: "x"}, {Address: "y"}}, true},
	} {
		now := time.Unix(1_800_000_000, 0)
		c, ledger := besideAnother(t, &now, fairness.NewRoundRobin("rr"))
		exchange := func() {
			for ready := c.Ready(now); ready.Turn != nil; ready = c.Ready(now) {
				reply, err := ledger.Turn(context.Background(), ready.Turn)
				now = now.Add(tc.away)
				c.TurnDone(now, reply, err)
			}
		}
		c.SetPool(now, core.Pool{Endpoints: len(tc.endpoints), Limit: 10})
		c.SetEndpoints(now, tc.endpoints)
		for seq := uint64(1); seq < 40; seq++ {
			c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a"}})
			exchange()
			now = now.Add(tc.takes)
			c.Release(now, seq, core.Usage{})
			exchange()
		}
		if byFloat := c.View(now).Tallies.ByFloat > 0; byFloat != tc.byFloat {
			t.Errorf("requests of %v, with the ledger %v away, at %d endpoints: by float %v, want %v", tc.takes, tc.away, len(tc.endpoints), byFloat, tc.byFloat)
		}
	}
}

// TestPermitsAreOfUse: a replica keeps permits where its requests go by them, and none where
// its band asks the ledger for each.
func TestPermitsAreOfUse(t *testing.T) {
	remembers, err := fairness.NewLAS("las", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		policy policies.FairnessPolicy
		some   bool
	}{{fairness.NewRoundRobin("rr"), true}, {remembers, false}} {
		now := time.Unix(1_800_000_000, 0)
		c, ledger, exchange := oneReplica(&now, tc.policy)
		c.SetPool(now, core.Pool{Endpoints: 1, Limit: 100})
		for seq := uint64(1); seq < 40; seq++ {
			c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a"}})
			exchange()
			now = now.Add(20 * time.Millisecond)
			c.Release(now, seq, core.Usage{})
			exchange()
		}
		now = now.Add(250 * time.Millisecond) // what ended is said by then
		exchange()
		if held, _, _ := ledger.Held("me", 1); held > 0 != tc.some {
			t.Errorf("%v: %d permits are kept while nothing is in flight, want some: %v", tc.policy.TypedName(), held, tc.some)
		}
	}
}
