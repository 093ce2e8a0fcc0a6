package simulation

import (
	"testing"
	"time"

	"github.com/weirflow/weir/shard"
)

// TestRoomBesideShort has two replicas reach one endpoint and the third another, for a group that may
// have two of four slots: tickets of those whose endpoint is full, which are first in their flow, leave the
// other endpoint to those who reach it.
func TestRoomBesideShort(t *testing.T) {
	first, seeds := seedsOf(t, 1, 6, 2)
	for seed := first; seed < first+seeds; seed++ {
		if _, err := Run(roomBesideShort(seed)); err != nil {
			t.Error(err)
		}
	}
}

func roomBesideShort(seed uint64) Config {
	return Config{
		Seed: seed, Replicas: 3, Shards: 32, Limit: 5, Length: 14 * time.Second, Service: 50 * time.Millisecond,
		Bounded: true, Reach: map[int][]string{0: {"x"}, 1: {"y"}, 2: {"x"}},
		Groups: map[string]float64{"a": 2, shard.Others: 1}, Maxima: map[string]shard.Maximum{"a": {Part: 0.5}},
		Flows: []Flow{
			{ID: "all", Group: "a", Weight: 3, Clients: 10, Replicas: []int{0, 1, 2}},
			{ID: "first", Group: "a", Weight: 2, Clients: 10, Replicas: []int{0}},
			{ID: "beside", Group: shard.Others, Weight: 1, Clients: 10, Replicas: []int{0, 2}},
		},
	}
}

// TestRolledBackWhilePaused rolls the ledger back while a replica is stopped: it may count less for that
// than it had when it stopped, until it hears of it, and the replica lets none go by that.
func TestRolledBackWhilePaused(t *testing.T) {
	first, seeds := seedsOf(t, 80, 5, 3)
	for seed := first; seed < first+seeds; seed++ {
		cfg := Config{
			Seed: seed, Replicas: 1, Shards: 32, Limit: 14, Length: 7 * time.Second, Service: 50 * time.Millisecond, Faults: []Fault{Pause, Rollback},
			Flows: []Flow{
				{ID: "light", Weight: 1, Clients: 34, Light: true, Replicas: []int{0}},
				{ID: "tide", Weight: 1, Clients: 28, Light: true, Tide: true, Replicas: []int{0}},
			},
		}
		if _, err := Run(cfg); err != nil {
			t.Error(err)
		}
	}
}

// TestDrainEndsInOutage has an endpoint listed again while the ledger is lost, by each replica at a time of
// its own: meanwhile they deal the others among them as before, and none gets more than it takes.
func TestDrainEndsInOutage(t *testing.T) {
	first, seeds := seedsOf(t, 90, 6, 4)
	for seed := first; seed < first+seeds; seed++ {
		cfg := Config{
			Seed: seed, Replicas: 3, Shards: 32, Limit: 5, Length: 8 * time.Second, Service: 50 * time.Millisecond,
			Bounded: true, Faults: []Fault{Drain, Outage, Drain},
			Flows: []Flow{{ID: "a", Weight: 1, Clients: 6, Replicas: []int{0, 1, 2}}, {ID: "b", Weight: 1, Clients: 6, Replicas: []int{0, 2}}},
		}
		if _, err := Run(cfg); err != nil {
			t.Error(err)
		}
	}
}

// TestUrgentBesideGuarantees leaves 0.3 of two slots to those that are guaranteed nothing: a request that goes
// before all of these waits until it is their turn.
func TestUrgentBesideGuarantees(t *testing.T) {
	first, seeds := seedsOf(t, 310196, 3, 1)
	for seed := first; seed < first+seeds; seed++ {
		cfg := Config{
			Seed: seed, Replicas: 1, Shards: 32, Limit: 2, Length: 14 * time.Second, Service: 50 * time.Millisecond, RoundTrip: 180 * time.Millisecond,
			Guaranteed: map[int]float64{-1: 0.5}, Weights: map[int]float64{0: 3, -1: 1}, Floors: map[string]float64{"a": 0.3, "b": 0.05},
			Groups: map[string]float64{"a": 1, "b": 1, shard.Others: 1},
			Flows: []Flow{
				{ID: "first", Group: "b", Weight: 1, Clients: 4, Replicas: []int{0}},
				{ID: "second", Group: "a", Weight: 1, Clients: 4, Replicas: []int{0}},
				{ID: "urgent", Group: shard.Others, Priority: urgentPriority, Weight: 1, Clients: 1, Light: true, Replicas: []int{0}},
				{ID: "low", Group: shard.Others, Priority: -1, Weight: 1, Clients: 4, Replicas: []int{0}},
			},
		}
		if _, err := Run(cfg); err != nil {
			t.Error(err)
		}
	}
}

// TestFloorInsideAMaximum has a group that is guaranteed a part of the pool be inside one that has all that it
// may have, and always wants more: the group beside it gets the rest of that.
func TestFloorInsideAMaximum(t *testing.T) {
	cfg := Config{
		Seed: 1, Replicas: 2, Shards: 32, Limit: 2, Length: 12 * time.Second, Service: 50 * time.Millisecond,
		Groups: map[string]float64{"a": 1, "a/x": 1, "a/y": 1}, Floors: map[string]float64{"a/y": 0.3}, Maxima: map[string]shard.Maximum{"a": {Part: 0.5}},
		Flows: []Flow{
			{ID: "beside", Group: "a/x", Weight: 1, Clients: 2, Replicas: []int{0, 1}},
			{ID: "guaranteed", Group: "a/y", Weight: 1, Clients: 4, Replicas: []int{0}},
		},
	}
	if _, err := Run(cfg); err != nil {
		t.Error(err)
	}
}

// TestBackWithExcess cuts one of two replicas off from a ledger that is wiped meanwhile, so that the other gets
// all that endpoints take: once the first is back, its requests that went without the ledger are followed by none
// for as long as there are more than the endpoint takes.
func TestBackWithExcess(t *testing.T) {
	first, seeds := seedsOf(t, 540043, 4, 1)
	for seed := first; seed < first+seeds; seed++ {
		cfg := reachApart(seed)
		cfg.Replicas, cfg.Limit, cfg.Faults = 2, 10, []Fault{Outage, LedgerCut, Wipe}
		for i := range cfg.Flows {
			cfg.Flows[i].Replicas = []int{i % 2, (i + 1) % 2}
		}
		if _, err := Run(cfg); err != nil {
			t.Error(err)
		}
	}
}
