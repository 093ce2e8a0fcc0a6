package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
)

// alike returns so many endpoints that take as much each.
func alike(n int, capacity int64) (listed []core.Endpoint) {
	for i := range n {
		listed = append(listed, core.Endpoint{Address: fmt.Sprint("e", i), Capacity: capacity})
	}
	return listed
}

// TestFirstAtOnce has requests come at once to a replica that shares its ledger with no other, and
// that has permits at some endpoints by then and at others none, since no request was there: it
// asks for the others, and they go evenly.
func TestFirstAtOnce(t *testing.T) {
	const endpoints, many = 3, 15
	now := time.Unix(1_800_000_000, 0)
	c, ledger, _ := oneReplica(&now, fairness.NewRoundRobin("rr"))
	c.SetPool(now, core.Pool{Endpoints: endpoints, Limit: 64 * endpoints})
	listed := alike(endpoints, 64)
	c.SetEndpoints(now, listed)
	at, byFloat := make(map[string]int), 0
	for seq := range uint64(many) {
		now = now.Add(50 * time.Microsecond)
		c.Enqueue(now, core.Request{Seq: 1 + seq, Flow: policies.FlowKey{ID: "a"}})
		for ready := c.Ready(now); ; ready = c.Ready(now) {
			for _, d := range ready.Decisions {
				at[d.Endpoint]++
				if d.ByFloat {
					byFloat++
				}
			}
			if ready.Turn == nil {
				break
			}
			reply, err := ledger.Turn(t.Context(), ready.Turn)
			c.TurnDone(now, reply, err)
		}
	}
	for i := range endpoints {
		if n := at[listed[i].Address]; n != many/endpoints {
			t.Errorf("%d of %d requests are at %s, want %d: %v", n, many, listed[i].Address, many/endpoints, at)
		}
	}
	if byFloat == 0 {
		t.Error("none went by float")
	}
}

// TestMoreAtOnce has many more requests come than before, and go: a replica that shares its
// ledger with no other has them at all endpoints, and not at those alone where it has permits
// since requests were there.
func TestMoreAtOnce(t *testing.T) {
	const endpoints, inFlight, many = 8, 64, 5000
	now := time.Unix(1_800_000_000, 0)
	c, ledger, _ := oneReplica(&now, fairness.NewRoundRobin("rr"))
	c.SetPool(now, core.Pool{Endpoints: endpoints, Limit: 1000 * endpoints})
	listed := alike(endpoints, 1000)
	c.SetEndpoints(now, listed)
	at, went := make(map[string]int), make(map[uint64]string)
	exchange := func() {
		for {
			ready := c.Ready(now)
			for _, d := range ready.Decisions {
				at[d.Endpoint]++
				went[d.Ticket.Seq] = d.Endpoint
			}
			if ready.Turn == nil {
				return
			}
			reply, err := ledger.Turn(t.Context(), ready.Turn)
			c.TurnDone(now, reply, err)
		}
	}
	end := func(seq uint64) {
		at[went[seq]]--
		c.Release(now, seq, core.Usage{})
	}
	most := 0
	for seq := uint64(1); seq <= many; seq++ {
		c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a"}})
		exchange()
		if seq > inFlight {
			end(seq - inFlight)
		}
		now = now.Add(20 * time.Microsecond)
		c.Tick(now)
		exchange()
		for _, n := range at {
			most = max(most, n)
		}
	}
	if most > 2*inFlight/endpoints {
		t.Errorf("%d of %d requests in flight are at one of %d endpoints", most, inFlight, endpoints)
	}
}
