package simulation

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// TestReturnBeginsOneGeneration: replicas that went on without the ledger, one or all, begin one generation
// when they are back, however far the ledger is.
func TestReturnBeginsOneGeneration(t *testing.T) {
	for _, fault := range []Fault{LedgerCut, Outage} {
		for _, roundTrip := range []time.Duration{0, 110 * time.Millisecond, 450 * time.Millisecond} {
			t.Run(fmt.Sprint(fault, " ", roundTrip), func(t *testing.T) {
				for seed := range uint64(5) {
					cfg := fullFleet()
					cfg.Seed, cfg.RoundTrip, cfg.Faults, cfg.Length = seed, roundTrip, []Fault{fault}, 12*time.Second
					began := make(map[uint64]bool)
					cfg.Break.Reply = func(r *store.Reply) { began[r.Generation] = true }
					if _, err := Run(cfg); err != nil {
						t.Error(err)
					}
					if n := len(began) - 1; n > 1 { // beside the first
						t.Errorf("seed %d: %d generations began, want 1", seed, n)
					}
				}
			})
		}
	}
}
