package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
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
