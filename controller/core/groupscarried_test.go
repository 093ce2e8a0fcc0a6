package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/store"
)

// TestGroupsInALongOutage has the ledger be lost for four minutes while a flow of a group waits: what is to be
// asked of groups once it is back does not grow with each try, and says what the group weighs by then.
func TestGroupsInALongOutage(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	cfg := configured(fairness.NewRoundRobin("rr"))
	cfg.Shard.Groups = inOneGroup(1)
	cfg.OnStoreOutage = core.Hold
	c, _, exchange := withLedger(&now, cfg)
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 1})
	for seq := range uint64(3) {
		c.Enqueue(now, core.Request{Seq: seq + 1, Flow: policies.FlowKey{ID: "a"}})
	}
	exchange()
	var last *store.Statement
	lose := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); now = now.Add(20 * time.Millisecond) {
			c.Tick(now)
			if ready := c.Ready(now); ready.Turn != nil {
				last = ready.Turn
				c.TurnDone(now, nil, store.ErrUnavailable)
			}
		}
	}
	lose(2 * time.Minute)
	cfg.Shard.Groups = inOneGroup(4)
	c.Reconfigure(now, cfg)
	lose(2 * time.Minute)
	if n := c.GroupsCarried(); n > 1 {
		t.Errorf("%d groups are to be asked for, and there is one", n)
	}
	if len(last.Groups) != 1 || last.Groups[0].Weight != 4 {
		t.Errorf("stated of groups: %+v, want one of weight 4", last.Groups)
	}
}
