package simulation

import (
	"testing"
	"time"
)

// TestLossyFar loses turns of a ledger that is far: a turn that was lost shrinks nobody's share, since the
// next has not had the time to be answered, and only where several are lost one after the other does a
// replica go on by itself.
func TestLossyFar(t *testing.T) {
	for _, tc := range []struct {
		roundTrip time.Duration
		loss      float64 // of statements, and of replies
		used      float64 // of the slots' time, at least
	}{
		{110 * time.Millisecond, 0.05, 0.8},
		{110 * time.Millisecond, 0.2, 0.5},
		{450 * time.Millisecond, 0.05, 0.75},
		{450 * time.Millisecond, 0.2, 0.35},
	} {
		for seed := range uint64(3) {
			cfg := fullFleet()
			cfg.Seed, cfg.RoundTrip, cfg.Loss, cfg.Length = seed, tc.roundTrip, tc.loss, 30*time.Second
			r, err := Run(cfg)
			if err != nil {
				t.Errorf("%v away, %g lost: %v", tc.roundTrip, tc.loss, err)
				continue
			}
			t.Logf("%v away, %g lost: %.1f%% of the slots' time used, gap %.0f", tc.roundTrip, tc.loss, 100*r.Used, r.ServiceGap)
			if r.Used < tc.used {
				t.Errorf("%v away, %g lost: %.1f%% of the slots' time used, want %.0f%%", tc.roundTrip, tc.loss, 100*r.Used, 100*tc.used)
			}
		}
	}
}
