package core_test

import (
	"errors"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
)

// TestLineGoesToTheFreedEndpoint has who stands in line go where the request was that ended,
// and nobody where an endpoint is no more in use.
func TestLineGoesToTheFreedEndpoint(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c, ledger, _ := oneReplica(&now, fairness.NewRoundRobin("rr"))
	x, y := core.Endpoint{Address: "x", Capacity: 2}, core.Endpoint{Address: "y", Capacity: 2}
	c.SetPool(now, core.Pool{Endpoints: 2, Limit: 4})
	c.SetEndpoints(now, []core.Endpoint{x, y})
	var at []string // where each request went, by its number
	seq := uint64(0)
	arrive := func() {
		seq++
		at = append(at, "")
		c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a"}})
	}
	pass := func(d time.Duration) {
		now = now.Add(d)
		c.Tick(now)
		for ready := c.Ready(now); ; ready = c.Ready(now) {
			for _, decision := range ready.Decisions {
				at[decision.Ticket.Seq-1] = decision.Endpoint
			}
			if ready.Turn == nil {
				return
			}
			reply, err := ledger.Turn(t.Context(), ready.Turn)
			c.TurnDone(now, reply, err)
		}
	}
	end := func(seq uint64) (next string) { // and nothing is asked
		c.Release(now, seq, core.Usage{})
		ready := c.Ready(now)
		if ready.Turn != nil {
			c.TurnDone(now, nil, errors.New("not now"))
		}
		for _, decision := range ready.Decisions {
			next = decision.Endpoint
		}
		return next
	}
	arrive()
	pass(time.Millisecond)
	now = now.Add(2 * time.Millisecond)
	end(1)
	for range 10 {
		arrive()
	}
	pass(25 * time.Millisecond)
	pass(25 * time.Millisecond)
	if c.InFlight() != 4 || c.InLine() == 0 {
		t.Fatalf("%d in flight and %d in line, want 4 and some", c.InFlight(), c.InLine())
	}
	for i := range uint64(2) {
		if next := end(2 + i); next != at[1+i] {
			t.Errorf("a request at %q ended, and the next went to %q", at[1+i], next)
		}
	}
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 2})
	c.SetEndpoints(now, []core.Endpoint{x})
	for i, endpoint := range at[3:5] {
		if next := end(uint64(4 + i)); (next == "x") != (endpoint == "x") {
			t.Errorf("only x is in use, a request at %q ended, and the next went to %q", endpoint, next)
		}
	}
	if c.InLine() == 0 || at[3] == at[4] {
		t.Errorf("%d in line, requests ended at %q", c.InLine(), at[3:5])
	}
}
