package simulation

import (
	"fmt"
	"testing"
	"time"
)

// urgentCallers is fullFleet with callers of a higher band at each of these replicas, and a fourth
// replica where nobody else comes in.
func urgentCallers(clients int, light bool, replicas ...int) Config {
	cfg := fullFleet()
	cfg.Replicas, cfg.Length = 4, 20*time.Second
	cfg.Flows = append(cfg.Flows, Flow{ID: "urgent", Priority: 10, Weight: 1, Clients: clients, Light: light, Replicas: replicas})
	return cfg
}

// reaching has replicas reach a part of the endpoints.
func (c Config) reaching(reach map[int][]string) Config {
	c.Reach = reach
	return c
}

// threeUrgent is fullFleet with a tenant of a higher band at each replica, which has so many callers.
func threeUrgent(clients int) Config {
	cfg := fullFleet()
	cfg.Length = 20 * time.Second
	for i := range 3 {
		cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("urgent-", i), Priority: 10, Weight: 1, Clients: clients, Replicas: []int{i}})
	}
	return cfg
}

// TestLineBesideUrgent: callers of a higher band, who want little, leave the slots to those who
// wait below, however far the ledger is, and go in the next that end themselves: at their ingress,
// or where it has none, in the first that come by the ledger, of the endpoints that it reaches. So it is
// up to the last slot of the pool; and those who want more have them all.
func TestLineBesideUrgent(t *testing.T) {
	at := []time.Duration{0, 38, 110, 300, 450}
	const longest = 160 * time.Millisecond // that a request takes
	few := [5]float64{0.95, 0.9, 0.85, 0.75, 0.7}
	for _, tc := range []struct {
		name  string
		cfg   Config
		used  [5]float64    // of the slots' time, at least
		gap   float64       // requests that a tenant is ahead of another, at most
		half  time.Duration // that half of them wait at most, if it is given
		turns time.Duration // and one in a hundred, beside what a request takes
	}{
		{"a caller at each replica", urgentCallers(1, true, 0, 1, 2), [5]float64{0.95, 0.9, 0.87, 0.8, 0.72}, 100, 40 * time.Millisecond, 0},
		{"a caller where nobody else comes in", urgentCallers(1, true, 3), few, 100, 0, 4},
		{"one that reaches a third of the endpoints", urgentCallers(1, true, 3).reaching(map[int][]string{3: {"x"}}), few, 100, 0, 5},
		{"one that reaches others than most", urgentCallers(1, true, 3).reaching(map[int][]string{3: {"x"}, 0: {"y", "z"}, 1: {"y", "z"}}), few, 100, 0, 5},
		{"three that reach a third", urgentCallers(3, true, 3).reaching(map[int][]string{3: {"x"}}), few, 100, 0, 5},
		{"three quarters of the pool", urgentCallers(3, false, 0, 1, 2), [5]float64{0.95, 0.95, 0.92, 0.9, 0.85}, 100, 0, 0},
		{"what the pool takes", urgentCallers(4, false, 0, 1, 2), [5]float64{0.95, 0.95, 0.92, 0.9, 0.87}, 100, 0, 0},
		{"a quarter more than it takes", threeUrgent(5), [5]float64{0.95, 0.88, 0.84, 0.75, 0.65}, 300, 0, 0},
		{"half more", threeUrgent(6), [5]float64{0.95, 0.88, 0.84, 0.75, 0.65}, 300, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i, roundTrip := range at {
				cfg := tc.cfg
				cfg.RoundTrip = roundTrip * time.Millisecond
				r, err := Run(cfg)
				if err != nil {
					t.Errorf("%v away: %v", cfg.RoundTrip, err)
					continue
				}
				used := float64(r.Grants) * cfg.Service.Seconds() / (float64(cfg.Limit) * cfg.Length.Seconds())
				t.Logf("%v away: %.1f%% of the slots' time used, gap %.0f, waits p50 %v, p99 %v", cfg.RoundTrip, 100*used, r.ServiceGap, r.WaitP50, r.WaitP99)
				if used < tc.used[i] || r.ServiceGap > tc.gap {
					t.Errorf("%v away: %.1f%% used, want %.0f%%; a tenant is %.1f requests ahead of another, want %.0f at most", cfg.RoundTrip, 100*used, 100*tc.used[i], r.ServiceGap, tc.gap)
				}
				if tc.half > 0 && r.WaitP50 > tc.half || r.WaitP99 > longest+tc.turns*cfg.RoundTrip {
					t.Errorf("%v away: half wait for %v, and one in a hundred for %v", cfg.RoundTrip, r.WaitP50, r.WaitP99)
				}
			}
		})
	}
}

// TestLinesStayNearTheLedger: beside callers of a higher band at all of eight replicas a full pool is used as
// without them, also where turns take the ledger much of its time. Those callers' requests wait for the first of
// the 16 slots at their ingresses to end: with requests of 4 to 16 ms by themselves half of them for 0.42 ms, and
// one in a hundred for 2.5, since (1 - 0.25)^16 is 0.01. Where requests are long there are no lines beside them,
// so that they have the next slot that ends anywhere: each 0.8 ms one of 128 does, so that
// half wait for 0.55 ms and a turn, and hardly one in all these hundred for 6: exp(-6 / 0.8) is 0.0006.
func TestLinesStayNearTheLedger(t *testing.T) {
	for _, tc := range []struct {
		service, turnCost time.Duration
		used              float64       // of the slots' time, at least
		half, most        time.Duration // that half of the higher band's requests wait, and 99 of 100
	}{
		{10 * time.Millisecond, 300 * time.Microsecond, 0.93, 500 * time.Microsecond, 3 * time.Millisecond},
		{100 * time.Millisecond, 0, 0.99, time.Millisecond, 6 * time.Millisecond},
	} {
		cfg := Config{
			Seed: 1, Replicas: 8, Shards: 32, Limit: 128, Bounded: true, Apart: true, Length: 4 * time.Second, Service: tc.service,
			TurnCost: tc.turnCost,
		}
		for i := range 64 {
			cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("tenant-", i), Weight: 1, Clients: 16, Replicas: []int{i % 8, (i*5 + 3) % 8}})
		}
		cfg.Flows = append(cfg.Flows, Flow{ID: "urgent", Priority: 10, Weight: 1, Clients: 1, Light: true, Replicas: []int{0, 1, 2, 3, 4, 5, 6, 7}})
		r, err := Run(cfg)
		if err != nil {
			t.Error(err)
			continue
		}
		t.Logf("requests of %v: %.1f%% of the slots' time used, gap %.0f, waits p50 %v, p99 %v", tc.service, 100*r.Used, r.ServiceGap, r.WaitP50, r.WaitP99)
		if r.Used < tc.used || r.ServiceGap > 5 {
			t.Errorf("requests of %v: %.1f%% of the slots' time used, want %.0f%%; a tenant is %.1f requests ahead of another, want 5 at most", tc.service, 100*r.Used, 100*tc.used, r.ServiceGap)
		}
		if r.WaitP50 > tc.half || r.WaitP99 > tc.most {
			t.Errorf("requests of %v: half of the higher band's wait for %v, and one in a hundred for %v, want %v and %v", tc.service, r.WaitP50, r.WaitP99, tc.half, tc.most)
		}
	}
}
