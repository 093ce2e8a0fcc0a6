package admin

import (
	"context"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/metering"
	"github.com/weirflow/weir/store"
)

// slowLedger takes nothing in time, and can be read.
type slowLedger struct{ store.Metering }

func (slowLedger) AddUsage(ctx context.Context, _ *store.UsageBatch) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestUsageOfSlowLedger wants what was handed over to be told where the last of it takes longer
// than others' answers are waited for, and the replicas to be named whose last is missing.
func TestUsageOfSlowLedger(t *testing.T) {
	f := newFleet(t, 2, 1)
	a := f.replicas["a"]
	f.replicas["b"].cfg.Meter.Count(&store.Usage{Flow: "x", Requests: 2, TokensIn: 7})
	a.cfg.Patience, a.cfg.Meter = 20*time.Millisecond, metering.New(metering.Config{Ledger: slowLedger{f.ledger}, Replica: "a"})
	a.cfg.Meter.Count(&store.Usage{Flow: "x", Requests: 1, TokensIn: 1})
	var usage api.UsageList
	a.get(t, "/v1/usage", 200, &usage)
	if usage.Sum.Requests != 2 || usage.Sum.TokensIn != 7 {
		t.Errorf("it comes to %+v, want what b handed over", usage.Sum)
	}
	if missing := usage.Fleet.Missing; len(missing) != 1 || missing[0].Replica != "a" || len(usage.Fleet.Answered) != 1 || usage.Fleet.Answered[0] != "b" {
		t.Errorf("answered %v, missing %v; want a to be missing", usage.Fleet.Answered, missing)
	}
}
