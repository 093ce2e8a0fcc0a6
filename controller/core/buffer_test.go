package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
)

// TestFullBufferRefusesAtEveryPriority has more come at once than the buffer of all bands
// takes, where nothing waits yet: nobody elsewhere makes room, so what is too much is refused
// when it comes, above the lowest priority as well as at 0.
func TestFullBufferRefusesAtEveryPriority(t *testing.T) {
	for _, priority := range []int{-5, 0, 5} {
		now := time.Unix(1_800_000_000, 0)
		cfg := configured(fairness.NewRoundRobin("rr"))
		cfg.Shard.MaxRequests = 5
		c, _, exchange := withLedger(&now, cfg)
		c.SetPool(now, core.Pool{Endpoints: 1, Limit: 0})
		exchange()
		for seq := range uint64(9) {
			c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a", Priority: priority}})
		}
		if refused := len(c.Ready(now).Decisions); refused != 4 {
			t.Errorf("priority %d: %d of 9 were refused at once, want 4", priority, refused)
		}
	}
}
