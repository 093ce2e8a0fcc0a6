package simulation

import (
	"fmt"
	"testing"
	"time"
)

// TestCutOffIsOwedNothing cuts a replica off from the ledger at which priorities with guarantees wait: it
// serves them by itself, so the ledger owes them nothing for that time, and a request of a higher priority
// does not wait for that to be given afterwards.
func TestCutOffIsOwedNothing(t *testing.T) {
	for _, seed := range []uint64{16, 28} { // in which it is cut off for 2.6 and 2.3 s
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			_, err := Run(Config{
				Seed: seed, Replicas: 1, Shards: 32, Limit: 2, Length: 14 * time.Second, Service: 50 * time.Millisecond,
				Guaranteed: map[int]float64{0: 0.35, -1: 0.5}, Faults: []Fault{LedgerCut},
				Flows: []Flow{
					{ID: "urgent", Priority: 10, Weight: 1, Clients: 1, Light: true, Replicas: []int{0}},
					{ID: "middle", Weight: 1, Clients: 4, Replicas: []int{0}},
					{ID: "low", Priority: -1, Weight: 1, Clients: 4, Replicas: []int{0}},
				},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFarKeepsItsAccount has a priority with a guarantee of a slot and a fifth wait beside a higher one at a
// replica whose turns take longer than those that fail are given: all are answered, and the fifth is a second
// slot for a fifth of the time, as near the ledger, and not for all of it.
func TestFarKeepsItsAccount(t *testing.T) {
	_, err := Run(Config{
		Seed: 1, Replicas: 1, Shards: 32, Limit: 4, Length: 4 * time.Minute, Service: 4 * time.Second, RoundTrip: 700 * time.Millisecond,
		Guaranteed: map[int]float64{-1: 0.3},
		Flows: []Flow{
			{ID: "high", Weight: 1, Clients: 16, Replicas: []int{0}},
			{ID: "low", Priority: -1, Weight: 1, Clients: 16, Replicas: []int{0}},
		},
	})
	if err != nil {
		t.Error(err)
	}
}
