package core_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
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

// TestGrantedForWhatIsGone has the endpoint of a grant leave the pool while the reply is on its way: the
// request waits on, with its charge returned and what it took of its flow's tokens per minute, where there
// is no endpoint, or none with room, and goes once there is.
func TestGrantedForWhatIsGone(t *testing.T) {
	x, y := core.Endpoint{Address: "x", Capacity: 1}, core.Endpoint{Address: "y", Capacity: 1}
	for i, rest := range [][]core.Endpoint{nil, {y}, nil, {y}} {
		now := time.Unix(1_800_000_000, 0)
		cfg := configured(fairness.NewRoundRobin("rr"))
		cfg.Shard.Limit = func(id string) shard.Limit {
			if id == "a1" && i > 1 {
				return shard.Limit{TokensPerMinute: 1000}
			}
			return shard.Limit{}
		}
		c, ledger, _ := withLedger(&now, cfg)
		went := map[uint64]string{}
		list := func(endpoints ...core.Endpoint) {
			c.SetPool(now, core.Pool{Endpoints: len(endpoints), Limit: int64(len(endpoints))})
			c.SetEndpoints(now, endpoints)
		}
		ready := func() (turn *store.Statement) {
			r := c.Ready(now)
			for i := range r.Decisions {
				d := &r.Decisions[i]
				if d.Outcome != core.Dispatched {
					t.Fatalf("%+v", d)
				}
				went[d.Ticket.Seq] = d.Endpoint
			}
			return r.Turn
		}
		take := func(turn *store.Statement) *store.Reply {
			reply, err := ledger.Turn(t.Context(), turn)
			if err != nil {
				t.Fatal(err)
			}
			return reply
		}
		exchange := func() {
			for turn := ready(); turn != nil; turn = ready() {
				c.TurnDone(now, take(turn), nil)
			}
		}
		list(x, y)
		exchange()
		for seq := uint64(1); seq <= 2; seq++ { // one at each, the second on its way
			c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: fmt.Sprint("a", seq-1)}, InputTokens: 3000, Prefer: []string{"", "y", "x"}[seq]})
			turn := ready()
			if turn == nil {
				t.Fatal("nothing is asked")
			}
			reply := take(turn)
			if seq == 2 {
				list(rest...)
			}
			c.TurnDone(now, reply, nil)
			if seq == 1 {
				exchange()
			}
		}
		exchange()
		if went[1] != "y" || len(went) != 1 || c.InFlight() != 1 {
			t.Fatalf("with %v: %v are in flight, want the first at y", rest, went)
		}
		list(x, y)
		for range 4 {
			now = now.Add(100 * time.Millisecond)
			c.Tick(now)
			exchange()
		}
		if went[2] != "x" {
			t.Errorf("with %v: the one whose endpoint was gone went to %q once it was back, want x", rest, went[2])
		}
	}
}
