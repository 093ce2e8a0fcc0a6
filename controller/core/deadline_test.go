package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/shard"
)

// TestDeadlineFollowsTheBudget has a waiting request's budget end with a change of the
// configuration: it has no deadline then.
func TestDeadlineFollowsTheBudget(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	cfg := configured(fairness.NewRoundRobin("rr"))
	cfg.TTL = time.Minute
	c := core.New(cfg)
	deadline := func() (at time.Time) {
		for r := range c.Requests {
			at = r.Deadline
		}
		return at
	}
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 0})
	c.Enqueue(now, core.Request{Seq: 1, Flow: policies.FlowKey{ID: "a"}})
	if at := deadline(); !at.Equal(now.Add(time.Minute)) {
		t.Errorf("the deadline is %v, want a minute from %v", at, now)
	}
	cfg.TTL = 0
	c.Reconfigure(now, cfg)
	if at := deadline(); !at.IsZero() {
		t.Errorf("the deadline of a request that may wait for ever is %v", at)
	}
}

// TestOrderFollowsTheBudget has a budget end by which the earliest deadline is the first
// request's: the one that still has a deadline goes first then.
func TestOrderFollowsTheBudget(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	cfg := configured(fairness.NewRoundRobin("rr"))
	of := cfg.Shard.Band
	cfg.Shard.Band = func(priority int) shard.BandConfig {
		band := of(priority)
		band.Ordering = ordering.NewEDF("edf")
		return band
	}
	cfg.TTL = time.Minute
	c, ledger, exchange := withLedger(&now, cfg)
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 0})
	c.Enqueue(now, core.Request{Seq: 1, Flow: policies.FlowKey{ID: "a"}})
	c.Enqueue(now, core.Request{Seq: 2, Flow: policies.FlowKey{ID: "a"}, TTL: 2 * time.Minute})
	exchange()
	cfg.TTL = 0
	c.Reconfigure(now, cfg)
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 1})
	reply, err := ledger.Turn(t.Context(), c.Ready(now).Turn)
	c.TurnDone(now, reply, err)
	if went := c.Ready(now).Decisions; len(went) != 1 || went[0].Ticket.Seq != 2 {
		t.Errorf("decided: %+v, want request 2 dispatched", went)
	}
}
