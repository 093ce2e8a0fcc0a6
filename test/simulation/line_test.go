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

// manySlots is fullFleet with twice as many slots and requests of 80 ms: what the three replicas of
// TestSlowRedis are on real processes.
func manySlots() Config {
	cfg := fullFleet()
	cfg.Limit, cfg.Service = 24, 80*time.Millisecond
	return cfg
}

// fewCallers is a pool of eight slots and requests of 60 ms, for which 36 callers ask.
func fewCallers(flows, clients int, replicas func(flow int) []int) Config {
	cfg := fullFleet()
	cfg.Limit, cfg.Service, cfg.Flows = 8, 60*time.Millisecond, nil
	for i := range flows {
		cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("tenant-", i), Weight: 1, Clients: clients, Replicas: replicas(i)})
	}
	return cfg
}

// TestLineFillsSlots: over 20 s, of which at 450 ms the first seven pass until all replicas know how far the
// ledger is and how often requests come: at a full pool slots are filled where they become free, also where the
// ledger is far away, callers are few, and a replica may have one slot or none. How far tenants get
// apart beside a far one differs from run to run by three times.
func TestLineFillsSlots(t *testing.T) {
	at := []time.Duration{0, 50, 110, 210, 300, 450}
	for _, tc := range []struct {
		name string
		cfg  Config
		used [6]float64 // of the slots' time, at least
		gap  [6]float64 // requests that a tenant is ahead of another, at most
	}{
		{"72 callers, 24 slots", manySlots(), [6]float64{0.95, 0.92, 0.9, 0.85, 0.8, 0.6}, [6]float64{7, 9, 12, 60, 160, 240}},
		{"72 callers", fullFleet(), [6]float64{0.95, 0.9, 0.88, 0.85, 0.82, 0.75}, [6]float64{7, 8, 12, 15, 24, 60}},
		{"36 callers, each tenant at one replica", fewCallers(6, 6, func(i int) []int { return []int{i % 3} }), [6]float64{0.95, 0.8, 0.75, 0.75, 0.7, 0.63}, [6]float64{7, 8, 9, 36, 60, 120}},
		{"36 callers, all tenants at all replicas", fewCallers(12, 1, func(int) []int { return []int{0, 1, 2} }), [6]float64{0.9, 0.75, 0.7, 0.7, 0.7, 0.65}, [6]float64{7, 8, 9, 20, 20, 40}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i, roundTrip := range at {
				cfg := tc.cfg
				cfg.RoundTrip, cfg.Length = roundTrip*time.Millisecond, 20*time.Second
				r, err := Run(cfg)
				if err != nil {
					t.Error(err)
					continue
				}
				used := float64(r.Grants) * cfg.Service.Seconds() / (float64(cfg.Limit) * cfg.Length.Seconds())
				t.Logf("%v away: %.1f%% of the slots' time used, %d of %d from the line, %.2f turns each, gap %.0f",
					cfg.RoundTrip, 100*used, r.FromLine, r.Grants, float64(r.Turns)/float64(r.Grants), r.ServiceGap)
				if used < tc.used[i] || r.ServiceGap > tc.gap[i] {
					t.Errorf("%v away: %.1f%% used, want %.0f%%; a tenant is %.1f requests ahead of another, want %.0f at most",
						cfg.RoundTrip, 100*used, 100*tc.used[i], r.ServiceGap, tc.gap[i])
				}
			}
		})
	}
}

// TestLineKeepsShares: beside a far ledger a flow that has fewer callers than others keeps its
// share, though all of its tickets may stand in line and slots go where lines are long: it has more of
// them ahead while it is behind. Where there are two, the first one's tickets wait at a replica that
// has no requests of its own, and so does not know how long they take: it has as many before the
// ledger as others, or the flow falls behind without end.
func TestLineKeepsShares(t *testing.T) {
	for _, tc := range []struct {
		clients   []int
		roundTrip time.Duration
		gap       float64 // requests that a tenant is ahead of another, at most
	}{{[]int{36, 200}, 300 * time.Millisecond, 400}, {[]int{16, 16, 100}, 110 * time.Millisecond, 100}} {
		for seed := range uint64(2) {
			cfg := manySlots()
			cfg.Seed, cfg.RoundTrip, cfg.Length = 1+seed, tc.roundTrip, 40*time.Second
			cfg.Flows = cfg.Flows[:len(tc.clients)]
			for i, n := range tc.clients {
				cfg.Flows[i].Clients = n
			}
			r, err := Run(cfg)
			if err != nil {
				t.Error(err)
				continue
			}
			used := float64(r.Grants) * cfg.Service.Seconds() / (float64(cfg.Limit) * cfg.Length.Seconds())
			t.Logf("%v callers: %.1f%% of the slots' time used, gap %.0f", tc.clients, 100*used, r.ServiceGap)
			if used < 0.7 || r.ServiceGap > tc.gap {
				t.Errorf("%v callers: %.1f%% used, want 70%%; one tenant is %.1f requests ahead of another, want %.0f at most", tc.clients, 100*used, r.ServiceGap, tc.gap)
			}
		}
	}
}

// TestLineLastsAsLongAsTurns: beside a ledger whose one core is in full use lines are as long as
// slots end between two turns, all owners have tickets before it for these, and slots that move stay where they
// are of use: if the longest line got each, they would go to and fro, and 10 to 31% of their time be empty.
func TestLineLastsAsLongAsTurns(t *testing.T) {
	for _, tc := range []struct {
		flows, clients int
		turnCost       time.Duration
		used           float64 // of the slots' time, at least
		gap            float64 // requests that a tenant is ahead of another, at most
	}{
		{64, 16, 500 * time.Microsecond, 0.94, 5},
		{16, 40, 500 * time.Microsecond, 0.94, 12},
		{64, 16, time.Millisecond, 0.8, 5},
		{16, 40, time.Millisecond, 0.8, 12},
	} {
		cfg := Config{
			Seed: 1, Replicas: 8, Shards: 32, Limit: 128, Bounded: true, Length: 4 * time.Second, Service: 10 * time.Millisecond,
			TurnCost: tc.turnCost,
		}
		for i := range tc.flows {
			cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("tenant-", i), Weight: 1, Clients: tc.clients, Replicas: []int{i % 8, (i*5 + 3) % 8}})
		}
		r, err := Run(cfg)
		if err != nil {
			t.Error(err)
			continue
		}
		t.Logf("%d tenants, turns of %v: %.1f%% of the slots' time used, %d of %d from the line, %.2f turns each, gap %.0f",
			tc.flows, tc.turnCost, 100*r.Used, r.FromLine, r.Grants, float64(r.Turns)/float64(r.Grants), r.ServiceGap)
		if r.Used < tc.used || r.ServiceGap > tc.gap {
			t.Errorf("%d tenants, turns of %v: %.1f%% used, want %.0f%%; one is %.1f requests ahead of another, want %.0f at most",
				tc.flows, tc.turnCost, 100*r.Used, 100*tc.used, r.ServiceGap, tc.gap)
		}
	}
}

// TestLineOneFar: where the ledger is far from one replica of three, slots are in use as they are
// where it is far from all, and better. Lines are in the ledger's order, so those of replicas that
// are near are made as long as the others go by, and nobody waits behind one that is full.
func TestLineOneFar(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  Config
		used [3]float64 // of the slots' time, at least
		gap  [3]float64 // requests that a tenant is ahead of another, at most
	}{
		{"72 callers", fullFleet(), [3]float64{0.85, 0.8, 0.75}, [3]float64{9, 14, 35}},
		{"36 callers, all tenants at all replicas", fewCallers(12, 1, func(int) []int { return []int{0, 1, 2} }), [3]float64{0.8, 0.75, 0.7}, [3]float64{9, 45, 60}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i, roundTrip := range []time.Duration{110 * time.Millisecond, 300 * time.Millisecond, 450 * time.Millisecond} {
				cfg := tc.cfg
				cfg.FirstFar, cfg.Length = roundTrip, 20*time.Second
				r, err := Run(cfg)
				if err != nil {
					t.Error(err)
					continue
				}
				used := float64(r.Grants) * cfg.Service.Seconds() / (float64(cfg.Limit) * cfg.Length.Seconds())
				t.Logf("%v away: %.1f%% of the slots' time used, gap %.0f", roundTrip, 100*used, r.ServiceGap)
				if used < tc.used[i] || r.ServiceGap > tc.gap[i] {
					t.Errorf("%v away: %.1f%% used, want %.0f%%; a tenant is %.1f requests ahead of another, want %.0f at most",
						roundTrip, 100*used, 100*tc.used[i], r.ServiceGap, tc.gap[i])
				}
			}
		})
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

// TestLineIsBoundedWhereTurnsAreLost: beside a far ledger that answers 9 turns of 10 more stand in line than the
// ledger has use for, by those whom a slot is on its way to, and no more.
func TestLineIsBoundedWhereTurnsAreLost(t *testing.T) {
	for seed := uint64(9); seed < 13; seed++ { // 193 to 197 of 192
		cfg := manySlots()
		cfg.Seed, cfg.RoundTrip, cfg.Loss = seed, time.Duration(450+10*(seed%4))*time.Millisecond, 0.05
		if _, err := Run(cfg); err != nil {
			t.Error(err)
		}
	}
}

// TestLineIsStated has replicas say nothing of who stands in line, and the check of its length
// notices: the ledger goes on to put others there.
func TestLineIsStated(t *testing.T) {
	cfg := fullFleet()
	cfg.RoundTrip = 15 * time.Millisecond
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
