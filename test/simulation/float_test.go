package simulation

import (
	"testing"
	"time"
)

// calmFleet is three replicas whose flows want a part of the pool.
func calmFleet() Config {
	return Config{
		Seed: 1, Replicas: 3, Shards: 32, Limit: 100, Length: 20 * time.Second, Service: 50 * time.Millisecond,
		Flows: []Flow{{ID: "calm", Weight: 1, Clients: 20, Light: true, Replicas: []int{0, 1, 2}}},
	}
}

// TestFloatAsksSeldom: while nobody waits, requests meet the ledger by the dozen.
func TestFloatAsksSeldom(t *testing.T) {
	r, err := Run(calmFleet())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d turns for %d requests, waits p50 %v, p99 %v", r.Turns, r.Grants, r.WaitP50, r.WaitP99)
	if most := float64(r.Grants) / 10; float64(r.Turns) > most {
		t.Errorf("%d turns for %d requests, want at most %.0f", r.Turns, r.Grants, most)
	}
	if r.WaitP50 > 0 {
		t.Errorf("half of the requests wait for %v, and nothing is to be waited for", r.WaitP50)
	}
}

// TestFloatBridgesTheWay: a ledger that is 300 ms away is not noticed while nobody waits.
func TestFloatBridgesTheWay(t *testing.T) {
	cfg := calmFleet()
	cfg.RoundTrip = 300 * time.Millisecond
	r, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d turns for %d requests, waits p50 %v, p90 %v, p99 %v", r.Turns, r.Grants, r.WaitP50, r.WaitP90, r.WaitP99)
	if r.WaitP90 > 0 {
		t.Errorf("one in ten requests waits for %v", r.WaitP90)
	}
}
