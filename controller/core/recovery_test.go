package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/store"
)

// TestMembersInRecovery has the ledger forget all twice, the second time before all
// replicas have registered again: how many it should wait for is not unlearnt from a ledger
// that waits for them.
func TestMembersInRecovery(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c, _, _ := oneReplica(&now, fairness.NewRoundRobin("rr"))
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 10})
	for i, reply := range []store.Reply{
		{Status: store.OK, Generation: 1, Members: 3},
		{Status: store.Register, Generation: 2},
		{Status: store.OK, Generation: 2, Members: 1, Recovering: true},
		{Status: store.Register, Generation: 3},
		{Status: store.OK, Generation: 3, Members: 2},
	} {
		now = now.Add(time.Second)
		c.Tick(now)
		turn := c.Ready(now).Turn
		if turn == nil {
			t.Fatalf("no turn %d", i+1)
		}
		if i == 4 && turn.Members != 3 {
			t.Errorf("a ledger that forgot all while it waited for three replicas is to wait for %d", turn.Members)
		}
		reply.Applied, reply.Now = turn.Number, now
		c.TurnDone(now, &reply, nil)
	}
	now = now.Add(time.Second)
	c.Tick(now)
	if turn := c.Ready(now).Turn; turn == nil || turn.Members != 2 {
		t.Errorf("after a replica has left: %+v, want 2 members", turn)
	}
}
