package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
)

// TestDisplacedDoesNotMove has a request come home to a full buffer, where it displaces
// another that was about to move away: that one was refused, and waits nowhere.
func TestDisplacedDoesNotMove(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c, _, _ := oneReplica(&now, fairness.NewRoundRobin("rr"))
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 1})
	const shards, room = 16, 10 // as oneReplica has them
	before, after := shard.NewMap(1, shards, []string{"me", "b"}), shard.NewMap(2, shards, []string{"me", "c"})
	flow := func(first, then string) policies.FlowKey {
		for n := 0; ; n++ {
			key := policies.FlowKey{ID: fmt.Sprint("flow-", n)}
			if s := shard.Of(key, shards); before.OwnerOf(s) == first && after.OwnerOf(s) == then {
				return key
			}
		}
	}
	join := func(other string) {
		c.SetStream(now, other, true)
		c.SetMembers(now, coordinator.Members{Live: []coordinator.Member{{ID: "me", Incarnation: 1}, {ID: other, Incarnation: 1}}})
	}
	join("b")
	c.Enqueue(now, core.Request{Seq: 1, Flow: flow("b", "me")})
	leaves := flow("me", "c")
	for n := range uint64(room) {
		c.Enqueue(now, core.Request{Seq: 2 + n, Flow: leaves})
	}
	join("c")
	decisions := c.Ready(now).Decisions
	if len(decisions) != 1 || decisions[0].Outcome != core.RejectedCapacity {
		t.Fatalf("decided: %+v, want one rejected for want of room", decisions)
	}
	for _, p := range c.View(now).Peers {
		if p.ID == "c" && p.TicketsThere != room-1 {
			t.Errorf("%d requests wait at c, want %d", p.TicketsThere, room-1)
		}
	}
}
