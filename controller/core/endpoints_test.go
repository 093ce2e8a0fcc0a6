package core_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/store"
)

// TestMovesByPermits has a granted request go elsewhere while the ledger left this replica
// room there, and no longer.
func TestMovesByPermits(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c, ledger, exchange := oneReplica(&now, fairness.NewRoundRobin("rr"))
	c.SetPool(now, core.Pool{Endpoints: 2, Limit: 8})
	c.SetEndpoints(now, []core.Endpoint{{Address: "x", Capacity: 4}, {Address: "y", Capacity: 4}})
	at := map[string]int{}
	seq := uint64(0)
	dispatch := func() {
		seq++
		c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a"}})
		for ready := c.Ready(now); ; ready = c.Ready(now) {
			for i := range ready.Decisions {
				at[ready.Decisions[i].Endpoint]++
			}
			if ready.Turn == nil {
				return
			}
			reply, err := ledger.Turn(context.Background(), ready.Turn)
			c.TurnDone(now, reply, err)
		}
	}
	dispatch()
	if at["x"] != 1 {
		t.Fatalf("the first request was granted for %v, want x", at)
	}
	if c.MayPlace(now, 1, "y") {
		t.Error("it may go elsewhere before the ledger left room there")
	}
	for range 3 {
		now = now.Add(100 * time.Millisecond)
		c.Tick(now)
		dispatch()
		exchange()
	}
	if at["x"] != 2 || at["y"] != 2 {
		t.Fatalf("four requests went to %v", at)
	}
	if !c.MayPlace(now, 1, "y") { // x 1, y 3
		t.Error("it may not go elsewhere though the ledger left room there")
	}
	if c.MayPlace(now, 2, "z") {
		t.Error("it may go to an endpoint that the pool does not have")
	}
	now = now.Add(2 * time.Second) // nothing was asked for so long
	if c.MayPlace(now, 1, "x") {
		t.Error("it may go by a permit that is out of date")
	}
	c.Tick(now)
	exchange()
	for range 6 {
		dispatch()
	}
	if at["x"]+at["y"] != 8 || c.InFlight() != 8 {
		t.Fatalf("ten requests went to %v, want eight dispatched", at)
	}
	if c.MayPlace(now, 1, "x") || c.MayPlace(now, 2, "x") {
		t.Error("a request may go to an endpoint that is full")
	}
	c.Place(1, "x") // it had to
	exchange()
	if c.InFlight() != 8 {
		t.Errorf("%d in flight after a request went elsewhere, want 8", c.InFlight())
	}
}

// TestEndsReturnPermits has many requests come and go: their ends are no permits beyond those
// that the ledger gave, and what is free stays free for whoever asks.
func TestEndsReturnPermits(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c, ledger := besideAnother(t, &now, fairness.NewRoundRobin("rr"))
	c.SetPool(now, core.Pool{Endpoints: 2, Limit: 32})
	c.SetEndpoints(now, []core.Endpoint{{Address: "x", Capacity: 16}, {Address: "y", Capacity: 16}})
	most, seq := int64(0), uint64(0)
	exchange := func() {
		for ready := c.Ready(now); ready.Turn != nil; ready = c.Ready(now) {
			for _, l := range ready.Turn.Loads {
				most = max(most, l.Permits)
			}
			reply, err := ledger.Turn(context.Background(), ready.Turn)
			c.TurnDone(now, reply, err)
		}
	}
	for range 100 {
		for range 6 {
			seq++
			c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a"}})
		}
		exchange()
		if c.InFlight() != 6 {
			t.Fatalf("%d of 6 requests in flight at a pool that takes 32", c.InFlight())
		}
		for i := range uint64(6) { // permits are of use
			c.MayPlace(now, seq-i, "x")
			c.MayPlace(now, seq-i, "y")
		}
		now = now.Add(20 * time.Millisecond)
		c.Tick(now)
		for i := range uint64(6) {
			c.Release(now, seq-i, core.Usage{})
		}
		exchange()
	}
	if most != 4 {
		t.Errorf("%d permits are kept at an endpoint that takes 16 and is shared by two, want 4", most)
	}
}

// TestEndsAreStatedWhereRoomIsShort has a replica say at once what ends while another is short
// of room at its endpoints, though the pool is far from full.
func TestEndsAreStatedWhereRoomIsShort(t *testing.T) {
	for _, short := range []bool{false, true} {
		now := time.Unix(1_800_000_000, 0)
		c, ledger, exchange := oneReplica(&now, fairness.NewRoundRobin("rr"))
		c.SetPool(now, core.Pool{Endpoints: 2, Limit: 16})
		c.SetEndpoints(now, []core.Endpoint{{Address: "x", Capacity: 8}, {Address: "y", Capacity: 8}})
		exchange()
		other := &store.Statement{Replica: "other", Incarnation: 1, Register: true, Bands: []store.Band{{Policy: "rr", Limit: 1}}}
		if other.Loads = []store.Load{{Endpoint: "z", Capacity: 1}}; short {
			other.Offers = []store.Offer{{Ticket: policies.TicketID{Ingress: "other", Seq: 2}, Flow: "b"}}
			other.Loads[0].InFlight = 1
		}
		other.Number, other.Capacity = 1, 1
		for seq := range uint64(2) { // they take long, so that there is no hurry otherwise
			c.Enqueue(now, core.Request{Seq: seq + 1, Flow: policies.FlowKey{ID: "a"}})
			exchange()
			now = now.Add(2 * time.Second)
			c.Tick(now)
			exchange()
			if seq == 0 {
				c.Release(now, 1, core.Usage{})
				if _, err := ledger.Turn(context.Background(), other); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.Release(now, 2, core.Usage{})
		if said := c.Ready(now).Turn != nil; said != short {
			t.Errorf("another is short: %v, and the end of a request is said at once: %v", short, said)
		}
	}
}

// TestDrainedLeavesTheRest drains one endpoint of two while both are full: the other goes on
// with all that it takes, with the ledger and without it.
func TestDrainedLeavesTheRest(t *testing.T) {
	for _, lost := range []bool{false, true} {
		now := time.Unix(1_800_000_000, 0)
		c, ledger, _ := oneReplica(&now, fairness.NewRoundRobin("rr"))
		at := map[string][]uint64{} // what is in flight
		pass := func(d time.Duration, lost bool) {
			for range 10 {
				now = now.Add(d / 10)
				c.SetMembers(now, coordinator.Members{Live: []coordinator.Member{{ID: "me", Incarnation: 1, Leaseholder: true}}})
				c.Tick(now)
				for range 5 {
					ready := c.Ready(now)
					for i := range ready.Decisions {
						d := &ready.Decisions[i]
						at[d.Endpoint] = append(at[d.Endpoint], d.Ticket.Seq)
					}
					if ready.Turn == nil {
						break
					}
					if lost {
						c.TurnDone(now, nil, errors.New("lost"))
						continue
					}
					reply, err := ledger.Turn(context.Background(), ready.Turn)
					c.TurnDone(now, reply, err)
				}
			}
		}
		x := core.Endpoint{Address: "x", Capacity: 4}
		c.SetPool(now, core.Pool{Endpoints: 2, Limit: 7})
		c.SetEndpoints(now, []core.Endpoint{x, {Address: "y", Capacity: 3}})
		for seq := range uint64(9) {
			c.Enqueue(now, core.Request{Seq: seq + 1, Flow: policies.FlowKey{ID: "a"}})
		}
		pass(3*time.Second, false)
		if len(at["x"]) != 4 || len(at["y"]) != 3 {
			t.Fatalf("of nine requests %v are in flight, want 4 at x and 3 at y", at)
		}
		c.SetPool(now, core.Pool{Endpoints: 1, Limit: 4})
		c.SetEndpoints(now, []core.Endpoint{x})
		pass(time.Second, lost)
		if full := c.View(now).Saturation(); full != 1 && !lost {
			t.Errorf("with x full and y drained the pool is %g full", full)
		}
		for _, seq := range at["x"] {
			c.Release(now, seq, core.Usage{})
		}
		at["x"] = nil
		pass(time.Second, lost)
		if len(at["x"]) != 2 || len(at["y"]) != 3 {
			t.Errorf("without the ledger: %v; the two that waited are not at x, which is free: %v", lost, at)
		}
	}
}

// TestLimitOfTheFleetFromTheFirstEndpoint has a replica reach an endpoint, of two, for the first time
// once it knows what both take: that is the limit that it states, and not what it reaches.
func TestLimitOfTheFleetFromTheFirstEndpoint(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c, ledger, _ := oneReplica(&now, fairness.NewRoundRobin("rr"))
	turns := func() (stated int64) {
		for range 5 {
			now = now.Add(200 * time.Millisecond)
			c.Tick(now)
			if s := c.Ready(now).Turn; s != nil {
				if len(s.Bands) > 0 {
					stated = s.Bands[0].Limit
				}
				reply, err := ledger.Turn(context.Background(), s)
				c.TurnDone(now, reply, err)
			}
		}
		return stated
	}
	c.SetPool(now, core.Pool{})
	c.SetEndpoints(now, nil)
	c.Enqueue(now, core.Request{Seq: 1, Flow: policies.FlowKey{ID: "a"}})
	turns()
	other := &store.Statement{
		Replica: "other", Incarnation: 1, Number: 1, Members: 2, Register: true, Capacity: 4,
		Loads: []store.Load{{Endpoint: "x", Capacity: 2}, {Endpoint: "y", Capacity: 2}},
	}
	if _, err := ledger.Turn(context.Background(), other); err != nil {
		t.Fatal(err)
	}
	turns()
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 2})
	c.SetEndpoints(now, []core.Endpoint{{Address: "x", Capacity: 2}})
	if limit := turns(); limit != 4 {
		t.Errorf("it states a limit of %d, want the 4 of both endpoints", limit)
	}
}
