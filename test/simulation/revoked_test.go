package simulation

import (
	"testing"
	"time"
)

// TestRevokedForWhoWaits: beside a ledger that is far, one request is revoked for each that waits of a
// higher band, and that one goes in its slot: nobody does who stands in line where it was.
func TestRevokedForWhoWaits(t *testing.T) {
	for _, roundTrip := range []time.Duration{0, 38, 110, 300, 450} {
		cfg := fullFleet()
		cfg.Replicas, cfg.RoundTrip, cfg.Length, cfg.Evict = 4, roundTrip*time.Millisecond, 20*time.Second, true
		for i := range cfg.Flows {
			cfg.Flows[i].Priority = -1
		}
		cfg.Flows = append(cfg.Flows, Flow{ID: "urgent", Priority: 10, Weight: 1, Clients: 1, Light: true, Replicas: []int{3}})
		r, err := Run(cfg)
		if err != nil {
			t.Errorf("%v away: %v", cfg.RoundTrip, err)
			continue
		}
		t.Logf("%v away: %d revoked for %d requests, waits p50 %v, p99 %v; %d of %d from the line", cfg.RoundTrip, r.Revoked, r.LightGrants, r.WaitP50, r.WaitP99, r.FromLine, r.Grants)
		if r.Revoked > r.LightGrants {
			t.Errorf("%v away: %d revoked for %d requests", cfg.RoundTrip, r.Revoked, r.LightGrants)
		}
	}
}
