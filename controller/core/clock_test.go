package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
)

// TestStaleReplySetsNoClock has this process stop while a turn is under way: the ledger's
// time in the reply is as old as the reply, and the turn took no longer than others do.
func TestStaleReplySetsNoClock(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c, ledger, exchange := oneReplica(&now, fairness.NewRoundRobin("rr"))
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 0})
	exchange()
	now = now.Add(time.Second)
	c.Tick(now)
	reply, err := ledger.Turn(t.Context(), c.Ready(now).Turn)
	now = now.Add(2 * time.Second)
	c.TurnDone(now, reply, err)
	c.Enqueue(now, core.Request{Seq: 1, Flow: policies.FlowKey{ID: "a"}})
	requests := 0
	for r := range c.Requests {
		requests++
		if !r.Arrival.Equal(now) {
			t.Errorf("a request that comes at %v, by a ledger of the same clock, has arrived %v earlier", now, now.Sub(r.Arrival))
		}
	}
	if requests != 1 {
		t.Errorf("%d requests, want 1", requests)
	}
	if state := c.View(now).Ledger; state != core.Connected {
		t.Errorf("the ledger is %s, want connected", state)
	}
}
