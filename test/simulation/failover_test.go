package simulation

import (
	"testing"
	"time"
)

// TestFailover: an endpoint that had to take one more than it takes gives it back with the next of its
// replica's requests that ends there, however far the ledger is and although others stand in line.
func TestFailover(t *testing.T) {
	first, seeds := seedsOf(t, 1, 3, 1)
	for i, roundTrip := range []time.Duration{0, 38, 110, 300, 450} {
		used := func(seed uint64, faults ...Fault) float64 {
			cfg := fullFleet()
			cfg.Seed = seed
			cfg.RoundTrip, cfg.Length, cfg.Faults = roundTrip*time.Millisecond, 20*time.Second, faults
			r, err := Run(cfg)
			if err != nil {
				t.Errorf("%v away: %v", cfg.RoundTrip, err)
				return 0
			}
			return float64(r.Grants) * cfg.Service.Seconds() / (float64(cfg.Limit) * cfg.Length.Seconds())
		}
		for seed := first; seed < first+seeds; seed++ {
			with := used(seed, Failover, Failover, Failover, Failover, Failover, Failover, Failover, Failover)
			if with < []float64{0.95, 0.9, 0.87, 0.83, 0.75}[i] {
				t.Errorf("seed %d, %v away: %.1f%% of the slots' time used", seed, roundTrip*time.Millisecond, 100*with)
			}
		}
	}
}
