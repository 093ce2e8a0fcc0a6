package core_test

import (
	"context"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// TestBackForAMoment has one of two replicas that do not gossip be cut off from the ledger for longer
// than its lease, and come back, and both lose the ledger at once. The other was told last that there
// is none beside it, and goes on with all of the pool; so this one takes nothing of it. Once it has
// been back for a while, both go on with half.
func TestBackForAMoment(t *testing.T) {
	const limit = 8
	ids := [2]string{"a", "b"}
	for _, tc := range []struct {
		back     time.Duration // before both lose the ledger
		inFlight [2]int
	}{{0, [2]int{limit, 0}}, {2500 * time.Millisecond, [2]int{limit / 2, limit / 2}}} {
		now := time.Unix(1_800_000_000, 0)
		ledger := memory.New(memory.Config{Clock: func() time.Time { return now }})
		var cores [2]*core.Core
		var cut [2]bool
		var inFlight [2]int
		for i := range cores {
			cfg := configured(fairness.NewRoundRobin("rr"))
			cfg.Replica = ids[i]
			cores[i] = core.New(cfg)
			cores[i].SetPool(now, core.Pool{Endpoints: 1, Limit: limit})
		}
		pass := func(d time.Duration) {
			for end := now.Add(d); !now.After(end); now = now.Add(10 * time.Millisecond) {
				for i, c := range cores {
					c.Tick(now)
					for {
						ready := c.Ready(now)
						inFlight[i] += len(ready.Decisions)
						if ready.Turn == nil {
							break
						}
						if cut[i] {
							c.TurnDone(now, nil, store.ErrUnavailable)
							continue
						}
						reply, err := ledger.Turn(context.Background(), ready.Turn)
						c.TurnDone(now, reply, err)
					}
				}
			}
		}
		pass(3 * time.Second)
		cut = [2]bool{false, true}
		pass(5 * time.Second)
		cut = [2]bool{}
		for cores[1].LedgerState() != core.Connected {
			pass(0)
		}
		pass(tc.back)
		cut = [2]bool{true, true}
		for i, c := range cores {
			for seq := range uint64(10) {
				c.Enqueue(now, core.Request{Seq: seq + 1, Flow: policies.FlowKey{ID: ids[i]}})
			}
		}
		pass(2 * time.Second)
		if inFlight != tc.inFlight {
			t.Errorf("back for %v: %v in flight, the limit is %d; want %v", tc.back, inFlight, limit, tc.inFlight)
		}
	}
}
