package simulation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// seedsOf returns which seeds a test runs: so many from the first on, few with -short, as
// many as WEIR_SEEDS says, from WEIR_FROM on if that is given, or the one that WEIR_SEED names.
func seedsOf(t *testing.T, first, seeds, few uint64) (from, count uint64) {
	t.Helper()
	if n, ok := number(t, "WEIR_SEED"); ok {
		return n, 1
	}
	if n, ok := number(t, "WEIR_FROM"); ok {
		first = n
	}
	if n, ok := number(t, "WEIR_SEEDS"); ok {
		return first, n
	}
	if testing.Short() {
		return first, few
	}
	return first, seeds
}

// TestSeeds runs many seeds; WEIR_SEEDS says how many, WEIR_SEED runs one.
func TestSeeds(t *testing.T) {
	first, seeds := seedsOf(t, 0, 1000, 60)
	var wg sync.WaitGroup
	next := make(chan uint64)
	for range 2 {
		wg.Go(func() {
			for seed := range next {
				if _, err := Run(draw(seed)); err != nil {
					t.Error(shortest(draw(seed), err))
				}
			}
		})
	}
	for seed := first; seed < first+seeds; seed++ {
		next <- seed
	}
	close(next)
	wg.Wait()
}

// number is what a variable of the environment says.
func number(t *testing.T, name string) (n uint64, given bool) {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n, true
}

// shortest removes faults from a failing run for as long as it still fails, and returns
// the error of what is left.
func shortest(cfg Config, err error) error {
	for again := true; again; {
		again = false
		for i := range cfg.Faults {
			less := cfg
			less.Faults = append(append([]Fault(nil), cfg.Faults[:i]...), cfg.Faults[i+1:]...)
			if _, e := Run(less); e != nil {
				cfg, err, again = less, e, true
				break
			}
		}
		for _, simpler := range []func(*Config){
			func(c *Config) { c.Loss = 0 },
			func(c *Config) { c.MessageLoss = 0 },
			func(c *Config) { c.Cancel = 0 },
			func(c *Config) { c.Drift = false },
		} {
			less := cfg
			simpler(&less)
			if less.Loss == cfg.Loss && less.MessageLoss == cfg.MessageLoss && less.Cancel == cfg.Cancel && less.Drift == cfg.Drift {
				continue
			}
			if _, e := Run(less); e != nil {
				cfg, err, again = less, e, true
			}
		}
	}
	return fmt.Errorf("%d replicas, limit %d, faults %v, loss %g, message loss %g, cancel %g, drift %v: %w",
		cfg.Replicas, cfg.Limit, cfg.Faults, cfg.Loss, cfg.MessageLoss, cfg.Cancel, cfg.Drift, err)
}

// TestStopped stops a replica for longer than its lease, with requests that take as long
// and longer, beside other faults: what it has in flight counts all the while.
func TestStopped(t *testing.T) {
	first, seeds := seedsOf(t, 0, 200, 20)
	for seed := first; seed < first+seeds; seed++ {
		cfg := stopped(seed)
		if _, err := Run(cfg); err != nil {
			t.Error(shortest(cfg, err))
		}
	}
}

// stopped returns the run of a seed with a stopped replica.
func stopped(seed uint64) Config {
	rng := rand.New(rand.NewPCG(seed, 2))
	cfg := draw(seed)
	cfg.Replicas = 2 + rng.IntN(3)
	cfg.Limit = int64(cfg.Replicas + rng.IntN(5))
	cfg.Bounded = cfg.Bounded && cfg.Limit >= 3
	cfg.Service = time.Second << rng.IntN(4)
	cfg.Length = 20*time.Second + 4*cfg.Service
	cfg.Cancel, cfg.Drift = 0, false
	cfg.RoundTrip = min(cfg.RoundTrip, 60*time.Millisecond) // slots are free while turns are lost: for four round trips, the check says
	cfg.Guaranteed = nil                                    // its requests would have to be short
	cfg.Flows = nil
	for i := range 3 {
		cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("flow-", i), Weight: 1, Clients: 2 * int(cfg.Limit), Replicas: []int{i % cfg.Replicas, (i + 1) % cfg.Replicas}})
	}
	others := []Fault{Crash, Pause, Wipe, Rollback, Rumour, Split, OneWay, Strangers}
	cfg.Faults = []Fault{Stop}
	for range rng.IntN(3) {
		cfg.Faults = append(cfg.Faults, others[rng.IntN(len(others))])
	}
	return cfg
}

// TestReachApart has replicas reach some of the endpoints each, whichever they are, and takes the ledger
// from them, beside other faults: no endpoint gets more than it takes, with what they send there by themselves.
func TestReachApart(t *testing.T) {
	first, seeds := seedsOf(t, 0, 100, 20)
	for seed := first; seed < first+seeds; seed++ {
		cfg := reachApart(seed)
		if _, err := Run(cfg); err != nil {
			t.Error(shortest(cfg, err))
		}
	}
}

// reachApart returns the run of a seed whose replicas reach some of the endpoints, and lose the ledger.
func reachApart(seed uint64) Config {
	rng := rand.New(rand.NewPCG(seed, 9))
	cfg := Config{
		Seed: seed, Replicas: 2 + rng.IntN(4), Shards: 32, Limit: int64(3 + rng.IntN(10)), Length: 9 * time.Second,
		Service: 50 * time.Millisecond << rng.IntN(3), Bounded: true, Faults: []Fault{Outage}, Apart: rng.IntN(4) == 0,
	}
	cfg.listApart(rng)
	for i := range 3 {
		cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("flow-", i), Weight: 1, Clients: 2 * int(cfg.Limit), Replicas: []int{i % cfg.Replicas, (i + 1) % cfg.Replicas}})
	}
	others := append(slices.Clone(Faults), Astray, Drain)
	if cfg.Apart {
		others = []Fault{Crash, Pause, Wipe, Rollback, LedgerCut, Outage, Astray, Drain}
	}
	for range rng.IntN(3) {
		cfg.Faults = append(cfg.Faults, others[rng.IntN(len(others))])
	}
	if rng.IntN(3) == 0 {
		cfg.Loss, cfg.MessageLoss = 0.02, 0.02
	}
	return cfg
}

// TestDrained drains an endpoint whose requests run on for long: meanwhile the others are in
// use with all that they take.
func TestDrained(t *testing.T) {
	first, seeds := seedsOf(t, 0, 40, 5)
	for seed := first; seed < first+seeds; seed++ {
		cfg := drained(seed)
		if _, err := Run(cfg); err != nil {
			t.Error(shortest(cfg, err))
		}
	}
}

// drained returns the run of a seed in which an endpoint is drained.
func drained(seed uint64) Config {
	rng := rand.New(rand.NewPCG(seed, 5))
	cfg := Config{
		Seed: seed, Replicas: 1 + rng.IntN(3), Shards: 32, Limit: int64(3 + rng.IntN(6)), Length: 16 * time.Second,
		Service: time.Second << rng.IntN(2), Bounded: true, Faults: []Fault{Drain},
	}
	for i := range 3 {
		cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("flow-", i), Weight: 1, Clients: 2 * int(cfg.Limit), Replicas: []int{i % cfg.Replicas, (i + 1) % cfg.Replicas}})
	}
	return cfg
}

// TestSeedReplays runs a seed twice and compares what it measured.
func TestSeedReplays(t *testing.T) {
	cfg := draw(3)
	cfg.Replicas, cfg.Limit, cfg.Loss, cfg.MessageLoss, cfg.Faults = 3, 4, 0.02, 0.02, []Fault{Wipe, Rumour, Crash}
	cfg.Flows = twoFlows(0)
	a, err1 := Run(cfg)
	b, err2 := Run(cfg)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if *a != *b {
		t.Errorf("the same seed gave %+v and %+v", *a, *b)
	}
}
