package simulation

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// fullFleet is three replicas with two tenants each, who want all of a pool that serves 120
// requests a second, twelve at a time.
func fullFleet() Config {
	cfg := Config{Seed: 1, Replicas: 3, Shards: 32, Limit: 12, Bounded: true, Length: 12 * time.Second, Service: 100 * time.Millisecond}
	for i := range 6 {
		cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("tenant-", i), Weight: 1, Clients: 12, Replicas: []int{i % 3}})
	}
	return cfg
}

// TestLineFillsSlots: at a full pool slots are filled where they become free, also where the
// ledger is far away.
func TestLineFillsSlots(t *testing.T) {
	for _, tc := range []struct {
		roundTrip time.Duration
		used      float64 // of the slots' time, at least
	}{
		{0, 0.95},
		{50 * time.Millisecond, 0.8},
		{210 * time.Millisecond, 0.4},
		{300 * time.Millisecond, 0.25},
		{450 * time.Millisecond, 0.18},
	} {
		cfg := fullFleet()
		cfg.RoundTrip = tc.roundTrip
		r, err := Run(cfg)
		if err != nil {
			t.Error(err)
			continue
		}
		used := float64(r.Grants) * cfg.Service.Seconds() / (float64(cfg.Limit) * cfg.Length.Seconds())
		t.Logf("%v away: %.1f%% of the slots' time used, %d of %d from the line, %.2f turns each, gap %.0f",
			tc.roundTrip, 100*used, r.FromLine, r.Grants, float64(r.Turns)/float64(r.Grants), r.ServiceGap)
		if used < tc.used {
			t.Errorf("%v away: %.1f%% used, want %.0f%%", tc.roundTrip, 100*used, 100*tc.used)
		}
		if r.ServiceGap > 7 { // it is 2 to 3 without lines
			t.Errorf("%v away: a tenant is %.1f requests ahead of another", tc.roundTrip, r.ServiceGap)
		}
	}
}

// TestLineHasNoSlots has replicas dispatch at once what stands in line there: it holds no
// slot, and the check of authority notices.
func TestLineHasNoSlots(t *testing.T) {
	cfg := fullFleet()
	cfg.Break.Reply = func(r *store.Reply) {
		for i := range r.Messages {
			if m := &r.Messages[i]; m.Kind&store.Lined != 0 {
				m.Kind = m.Kind&^store.Lined | store.Granted
			}
		}
	}
	if _, err := Run(cfg); !errors.Is(err, ErrInvariant) || !strings.Contains(err.Error(), "authority") {
		t.Errorf("got %v, want authority broken", err)
	}
}

// TestLineIsBounded has a replica say that it has use for a line without end, and the check of
// its length notices.
func TestLineIsBounded(t *testing.T) {
	cfg := fullFleet()
	cfg.Break.Statement = func(s *store.Statement) { s.WantLine = 100 }
	if _, err := Run(cfg); !errors.Is(err, ErrInvariant) || !strings.Contains(err.Error(), "in line") {
		t.Errorf("got %v, want too many in line", err)
	}
}

// TestLineIsStated has replicas say nothing of who stands in line, and the check of its length
// notices: the ledger goes on to put others there.
func TestLineIsStated(t *testing.T) {
	cfg := fullFleet()
	cfg.RoundTrip = 50 * time.Millisecond
	cfg.Break.Statement = func(s *store.Statement) { s.InLine = 0 }
	if _, err := Run(cfg); !errors.Is(err, ErrInvariant) || !strings.Contains(err.Error(), "in line") {
		t.Errorf("got %v, want too many in line", err)
	}
}

// TestLineMakesWay: requests of a higher band that come at least once a second wait for the
// next slot that ends anywhere, as if there were no lines.
func TestLineMakesWay(t *testing.T) {
	cfg := fullFleet()
	cfg.Flows = append(cfg.Flows, Flow{ID: "urgent", Priority: 10, Weight: 1, Clients: 1, Light: true, Replicas: []int{0}})
	r, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("waits p50 %v, p90 %v, p99 %v, %d of %d from the line", r.WaitP50, r.WaitP90, r.WaitP99, r.FromLine, r.Grants)
	if r.WaitP99 > 25*time.Millisecond { // it is 18 without lines: a request ends every 8
		t.Errorf("one in a hundred waits for %v", r.WaitP99)
	}
}
