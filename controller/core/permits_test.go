package core_test

import (
	"context"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
)

// TestPermitWhereAnEndpointIsGone has a request wait that prefers an endpoint, which leaves the pool
// while the turn is under way in which others were asked for: it goes by a permit, and not there.
func TestPermitWhereAnEndpointIsGone(t *testing.T) {
	p := newPreferring(time.Millisecond)
	for range 7 {
		p.ask("y") // until there are no permits there
	}
	p.now = p.now.Add(300 * time.Millisecond)
	p.core.Tick(p.now)
	ready := p.core.Ready(p.now)
	if ready.Turn == nil {
		t.Fatal("no turn after 300 ms")
	}
	enqueue := func(prefer string) uint64 {
		p.seq++
		p.core.Enqueue(p.now, core.Request{Seq: p.seq, Flow: policies.FlowKey{ID: "a"}, Prefer: prefer})
		return p.seq
	}
	enqueue("y") // which asks, so that what comes after it waits
	second := enqueue("x")
	p.core.SetPool(p.now, core.Pool{Endpoints: 1, Limit: 8})
	p.core.SetEndpoints(p.now, []core.Endpoint{{Address: "y", Capacity: 8}})
	reply, err := p.ledger.Turn(context.Background(), ready.Turn)
	p.core.TurnDone(p.now, reply, err)
	for _, d := range p.exchange() {
		if d.Ticket.Seq == second && d.Endpoint == "x" {
			t.Error("it goes to x, which the pool does not have any more")
		}
	}
}
