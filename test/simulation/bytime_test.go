package simulation

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// longAndShort is fullFleet with three tenants, of whom the requests of one take four times as long as
// the others', compared by the time for which they have slots.
func longAndShort(roundTrip time.Duration) Config {
	cfg := fullFleet()
	cfg.ByTime, cfg.RoundTrip, cfg.Length = true, roundTrip, 30*time.Second
	cfg.Flows = cfg.Flows[:3]
	for i := range cfg.Flows {
		cfg.Flows[i].Clients, cfg.Flows[i].Replicas = 24, []int{i, (i + 1) % 3}
	}
	cfg.Flows[0].Longer = 4
	return cfg
}

// TestSlotsByTime has all have slots for as long, whatever their requests take.
func TestSlotsByTime(t *testing.T) {
	for _, roundTrip := range []time.Duration{0, 38 * time.Millisecond} {
		r, err := Run(longAndShort(roundTrip))
		if err != nil {
			t.Error(err)
			continue
		}
		t.Logf("%v away: one had slots for %.0f requests longer than another", roundTrip, r.ServiceGap)
		if r.ServiceGap > 60 {
			t.Errorf("%v away: one had slots for %.0f requests longer than another, want 60 at most", roundTrip, r.ServiceGap)
		}
	}
}

// TestSlotsByTimeCanBreak has what requests took not settled, so that each counts as long as any, and the
// check notices.
func TestSlotsByTimeCanBreak(t *testing.T) {
	cfg := longAndShort(0)
	cfg.Break.Statement = func(s *store.Statement) { s.Settlements = nil }
	if _, err := Run(cfg); !errors.Is(err, ErrInvariant) || !strings.Contains(err.Error(), "fairness") {
		t.Errorf("got %v, want fairness broken", err)
	}
}
