package core_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/store"
)

// TestNobodyGoesWithoutEndpoints has the pool lose its only endpoint while others stand in line: as requests
// end there, nobody goes in their slots, and who waits is served once it is back.
func TestNobodyGoesWithoutEndpoints(t *testing.T) {
	v := newRevoking(t)
	v.pass(4 * time.Second)
	for v.core.InLine() == 0 || v.turn == nil || v.comes.Sub(v.now) < revokingTurn/2 {
		v.pass(5 * time.Millisecond)
	}
	v.core.SetPool(v.now, core.Pool{Endpoints: 0, Limit: 8})
	went := 0
	for _, seq := range slices.Sorted(maps.Keys(v.ends)) {
		went += v.end(seq)
	}
	if went > 0 {
		t.Errorf("%d went although the pool has no endpoint", went)
	}
	v.core.SetPool(v.now, core.Pool{Endpoints: 1, Limit: 8})
	v.pass(2 * time.Second)
	if len(v.ends) < 6 {
		t.Errorf("%d of 8 are in flight once it is back", len(v.ends))
	}
}

// TestUnlistedStillRuns has a replica list no endpoint any more, with requests in flight at one that
// another lists: it goes on to state them, whenever it states everything, so that they count there.
func TestUnlistedStillRuns(t *testing.T) {
	for _, forgets := range []bool{false, true} {
		now := time.Unix(1_800_000_000, 0)
		c, ledger, exchange := oneReplica(&now, fairness.NewRoundRobin("rr"))
		c.SetPool(now, core.Pool{Endpoints: 1, Limit: 2})
		c.SetEndpoints(now, []core.Endpoint{{Address: "x", Capacity: 2}})
		for seq := range uint64(3) {
			c.Enqueue(now, core.Request{Seq: seq + 1, Flow: policies.FlowKey{ID: "a"}})
		}
		pass := func() {
			now = now.Add(600 * time.Millisecond)
			c.Tick(now)
			exchange()
		}
		pass()
		if c.InFlight() != 2 {
			t.Fatalf("%d in flight, want 2", c.InFlight())
		}
		c.SetPool(now, core.Pool{})
		c.SetEndpoints(now, nil)
		if forgets {
			ledger.Wipe()
		}
		for range 4 {
			pass()
		}
		other := &store.Statement{
			Replica: "other", Incarnation: 1, Number: 1, Members: 2, Register: true, Capacity: 2, WantLoads: true,
			Loads: []store.Load{{Endpoint: "x", Capacity: 2}},
		}
		reply, err := ledger.Turn(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		if len(reply.Loads) != 1 || reply.Loads[0].InFlight != 2 {
			t.Errorf("to a ledger that forgot everything: %v; it counts %+v, want 2 at x", forgets, reply.Loads)
		}
	}
}
