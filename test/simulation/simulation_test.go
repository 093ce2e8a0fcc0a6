package simulation

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// draw returns the run of a seed: a fleet, its load and its faults.
func draw(seed uint64) Config {
	rng := rand.New(rand.NewPCG(seed, 1))
	cfg := Config{
		Seed: seed, Replicas: 1 + rng.IntN(4), Shards: 32, Length: 14 * time.Second, Service: 50 * time.Millisecond,
	}
	cfg.Limit = int64(max(cfg.Replicas, 2) + rng.IntN(3))
	for i := range 2 + rng.IntN(3) {
		flow := Flow{ID: fmt.Sprint("flow-", i), Weight: float64(1 + rng.IntN(3)), Clients: 2 * int(cfg.Limit)}
		for r := range cfg.Replicas {
			if i == 0 || len(flow.Replicas) == 0 || rng.IntN(2) == 0 {
				flow.Replicas = append(flow.Replicas, r)
			}
		}
		cfg.Flows = append(cfg.Flows, flow)
	}
	if rng.IntN(2) == 0 {
		cfg.Flows = append(cfg.Flows, Flow{ID: "urgent", Priority: 10, Weight: 1, Clients: 1, Light: true, Replicas: []int{rng.IntN(cfg.Replicas)}})
	}
	for range rng.IntN(3) {
		cfg.Faults = append(cfg.Faults, Faults[rng.IntN(len(Faults))])
	}
	if rng.IntN(3) == 0 {
		cfg.Loss = 0.02
	}
	if rng.IntN(3) == 0 {
		cfg.MessageLoss = 0.02
	}
	if rng.IntN(3) == 0 {
		cfg.Cancel = 0.1
	}
	cfg.Drift = rng.IntN(3) == 0
	calm := rng.IntN(3) == 0
	if calm {
		cfg.calm(rng)
	}
	if rng.IntN(2) == 0 {
		cfg.Guaranteed = map[int]float64{-1: []float64{0.02, 0.1, 0.3, 0.5}[rng.IntN(4)]}
		low := Flow{ID: "low", Priority: -1, Weight: 1, Clients: 2 * int(cfg.Limit), Replicas: []int{rng.IntN(cfg.Replicas)}}
		low.Light, low.Tide = calm, calm // else it is never calm
		cfg.Flows = append(cfg.Flows, low)
	}
	if cfg.Bounded = rng.IntN(2) == 0 && cfg.Limit >= 3; cfg.Bounded {
		switch rng.IntN(3) {
		case 0:
			cfg.Faults = append(cfg.Faults, Astray)
		case 1:
			cfg.Reach = map[int][]string{rng.IntN(cfg.Replicas): endpoints[:1+rng.IntN(2)]}
		}
	}
	cfg.group(rand.New(rand.NewPCG(seed, 2)))
	if cfg.Bounded && rand.New(rand.NewPCG(seed, 4)).IntN(3) == 0 {
		cfg.Faults = append(cfg.Faults, Drain)
	}
	cfg.bound(rand.New(rand.NewPCG(seed, 3)))
	if rng := rand.New(rand.NewPCG(seed, 5)); rng.IntN(4) == 0 {
		cfg.RoundTrip = time.Duration(1+rng.IntN(60)) * time.Millisecond
	}
	cfg.floor(rand.New(rand.NewPCG(seed, 6)))
	return cfg
}

// group puts the flows of every third fleet into groups.
func (c *Config) group(rng *rand.Rand) {
	if rng.IntN(3) > 0 {
		return
	}
	c.Groups = map[string]float64{"a": float64(1 + rng.IntN(3)), "a/x": 1, "a/y": float64(1 + rng.IntN(2)), "b": 1, shard.Others: 1}
	for i := range c.Flows {
		c.Flows[i].Group = []string{"a/x", "a/y", "b", shard.Others}[rng.IntN(4)]
	}
}

// calm gives the fleet more than its flows need, but for every other second.
func (c *Config) calm(rng *rand.Rand) {
	c.Limit = int64(4*c.Replicas + rng.IntN(12))
	c.Flows = nil
	for i := range 1 + rng.IntN(3) {
		flow := Flow{ID: fmt.Sprint("calm-", i), Weight: 1, Clients: 1 + rng.IntN(2*int(c.Limit)), Light: true}
		for r := range c.Replicas {
			if len(flow.Replicas) == 0 || rng.IntN(2) == 0 {
				flow.Replicas = append(flow.Replicas, r)
			}
		}
		c.Flows = append(c.Flows, flow)
	}
	c.Flows = append(c.Flows, Flow{ID: "urgent", Priority: 10, Weight: 1, Clients: 1, Light: true, Replicas: []int{rng.IntN(c.Replicas)}})
	for _, at := range rng.Perm(c.Replicas)[:1+rng.IntN(c.Replicas)] {
		c.Flows = append(c.Flows, Flow{
			ID: fmt.Sprint("tide-", at), Priority: rng.IntN(2), Weight: 1, Clients: 2 * int(c.Limit), Light: true, Tide: true, Replicas: []int{at},
		})
	}
}

// seedsOf returns which seeds a test runs: so many from the first on, few with -short, as
// many as WEIR_SEEDS says, or the one that WEIR_SEED names.
func seedsOf(t *testing.T, first, seeds, few uint64) (from, count uint64) {
	t.Helper()
	if n, ok := number(t, "WEIR_SEED"); ok {
		return n, 1
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
	first, seeds := seedsOf(t, 0, 400, 30)
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
	seeds := uint64(200)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
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
	cfg.Guaranteed = nil // its requests would have to be short
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

// TestDrained drains an endpoint whose requests run on for long: meanwhile the others are in
// use with all that they take.
func TestDrained(t *testing.T) {
	first, seeds := seedsOf(t, 0, 40, 5)
	for seed := first; seed < first+seeds; seed++ {
		rng := rand.New(rand.NewPCG(seed, 5))
		cfg := Config{
			Seed: seed, Replicas: 1 + rng.IntN(3), Shards: 32, Limit: int64(3 + rng.IntN(6)), Length: 16 * time.Second,
			Service: time.Second << rng.IntN(2), Bounded: true, Faults: []Fault{Drain},
		}
		for i := range 3 {
			cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("flow-", i), Weight: 1, Clients: 2 * int(cfg.Limit), Replicas: []int{i % cfg.Replicas, (i + 1) % cfg.Replicas}})
		}
		if _, err := Run(cfg); err != nil {
			t.Error(shortest(cfg, err))
		}
	}
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

func twoFlows(priority int) []Flow {
	return []Flow{
		{ID: "a", Weight: 1, Clients: 8, Replicas: []int{0, 1, 2}},
		{ID: "b", Weight: 1, Clients: 8, Replicas: []int{1}},
		{ID: "urgent", Priority: priority, Weight: 1, Clients: 1, Light: true, Replicas: []int{2}},
	}
}

// TestInvariantsCanBreak breaks the fleet on purpose, once for each invariant, and fails
// if the check of that invariant does not notice.
func TestInvariantsCanBreak(t *testing.T) {
	base := Config{Seed: 1, Replicas: 3, Shards: 32, Limit: 4, Length: 14 * time.Second, Service: 50 * time.Millisecond, Flows: twoFlows(10)}
	if _, err := Run(base); err != nil {
		t.Fatalf("unbroken: %v", err)
	}
	decisions := 0
	for _, tc := range []struct {
		invariant string
		broken    Break
		faults    []Fault
		cancel    float64
	}{
		{"authority", Break{Reply: func(r *store.Reply) { // a replica takes more float than it was given
			if r.FloatShare > 0 {
				r.Float++
			}
		}}, nil, 0},
		{"authority", Break{Statement: func(s *store.Statement) { // it hides what it keeps
			s.Float = 0
		}}, nil, 0},
		{"authority", Break{Statement: func(s *store.Statement) { // it hides what it has in flight
			for i := range s.Bands {
				s.Bands[i].InFlight = 0
			}
		}}, nil, 0},
		{"capacity", Break{Statement: func(s *store.Statement) { // the replicas believe in a higher limit
			for i := range s.Bands {
				s.Bands[i].Limit++
			}
		}}, nil, 0},
		{"capacity", Break{Statement: func(s *store.Statement) { // who stopped is taken for gone
			for i := range 3 {
				s.Ended = append(s.Ended, store.Run{Replica: nodeID(i), Incarnation: math.MaxUint64})
			}
		}}, []Fault{Stop}, 0},
		{"endpoint", Break{Statement: func(s *store.Statement) { // one endpoint seems to be empty
			for i := range s.Loads {
				if s.Loads[i].Endpoint == "x" {
					s.Loads[i].InFlight = min(s.Loads[i].InFlight, 0)
				}
			}
		}}, nil, 0},
		{"endpoint", Break{Reply: func(r *store.Reply) { // a replica takes more permits than it was given
			for i := range r.Permits {
				r.Permits[i].Permits += 4
			}
		}}, nil, 0},
		{"one outcome", Break{Decision: func(d *core.Decision) bool { // a cancelled request is decided again
			return d.Outcome != core.Dispatched
		}}, nil, 0.2},
		{"no ticket lost", Break{Message: func(m *coordinator.Message) { // tickets vanish on the way
			m.Queued = nil
		}}, nil, 0},
		{"double dispatch", Break{Decision: func(d *core.Decision) bool { // every hundredth goes twice
			decisions++
			return d.Outcome == core.Dispatched && decisions%100 == 0
		}}, nil, 0},
		{"fairness", Break{Statement: func(s *store.Statement) { // a flow's service is not charged
			for i := range s.Offers {
				if s.Offers[i].Flow == "b" {
					s.Offers[i].Charge = 0
				}
			}
		}}, nil, 0},
		{"fairness", Break{Statement: func(s *store.Statement) { // a group is charged for half of its requests
			for i := range s.Groups {
				if s.Groups[i].Path == "two" {
					s.Groups[i].Weight = 2
				}
			}
		}}, nil, 0},
		{"maximum", Break{Statement: func(s *store.Statement) { // a replica hides what a group has in flight
			for i := range s.Limited {
				if s.Limited[i].Group != "" {
					s.Limited[i].InFlight = 0
				}
			}
		}}, nil, 0},
		{"maximum", Break{Statement: func(s *store.Statement) { // it says nothing of maxima
			s.Limited = nil
		}}, nil, 0},
		{"priority", Break{Request: func(q *core.Request) { // the highest goes last
			q.Flow.Priority = -q.Flow.Priority
		}}, nil, 0},
		{"guarantee", Break{Statement: func(s *store.Statement) { // a replica says nothing of what is guaranteed
			for i := range s.Bands {
				s.Bands[i].Guaranteed = 0
			}
		}}, nil, 0},
		{"group low lacks", Break{Statement: func(s *store.Statement) { // it says nothing of what groups are guaranteed
			for i := range s.Limited {
				s.Limited[i].Guaranteed = 0
			}
		}}, nil, 0},
		{"work conserving", Break{Statement: func(s *store.Statement) { // a replica claims what it has not
			for i := range s.Bands {
				s.Bands[i].InFlight++
			}
		}}, nil, 0},
		{"spread", Break{Statement: func(s *store.Statement) { // all endpoints but one seem to be full
			for i := range s.Loads {
				if s.Loads[i].Endpoint != "y" {
					s.Loads[i].InFlight = 100
				}
			}
		}}, nil, 0},
		{"continuity", Break{Statement: func(s *store.Statement) { // a flow's standing is forgotten with a wipe
			if s.Register {
				s.Counters = nil
				for i := range s.Offers {
					if s.Offers[i].Flow == "b" {
						s.Offers[i].Rank = 0
					}
				}
			}
		}}, []Fault{Wipe}, 0},
	} {
		t.Run(tc.invariant, func(t *testing.T) {
			cfg := base
			if tc.invariant == "no ticket lost" || tc.invariant == "work conserving" {
				cfg.Flows = cfg.Flows[:2] // the urgent one is missed first
			}
			if tc.invariant == "authority" { // there is float while not much is wanted
				cfg.Limit = 12
				cfg.Flows = append(cfg.Flows[2:], Flow{ID: "light", Weight: 1, Clients: 12, Light: true, Replicas: []int{0, 1, 2}})
			}
			if cfg.Bounded = tc.invariant == "endpoint"; cfg.Bounded && tc.broken.Reply != nil { // there are permits while not much is wanted
				cfg.Limit = 12
				cfg.Flows = []Flow{{ID: "light", Weight: 1, Clients: 10, Light: true, Replicas: []int{0, 1, 2}}}
			}
			if slices.Contains(tc.faults, Stop) {
				cfg.Service, cfg.Length, cfg.Flows = 4*time.Second, 30*time.Second, cfg.Flows[:2]
			}
			if tc.invariant == "guarantee" {
				cfg.Guaranteed = map[int]float64{-1: 0.3}
				cfg.Flows = append(cfg.Flows, Flow{ID: "low", Priority: -1, Weight: 1, Clients: 8, Replicas: []int{0, 2}})
			}
			if tc.invariant == "group low lacks" {
				cfg.Floors, cfg.Groups = map[string]float64{"low": 0.3}, map[string]float64{"low": 1, shard.Others: 1}
				cfg.Flows = append(slices.Clone(cfg.Flows), Flow{ID: "low", Priority: -1, Weight: 1, Clients: 8, Replicas: []int{0, 2}, Group: "low"})
				for i := range cfg.Flows[:len(cfg.Flows)-1] {
					cfg.Flows[i].Group = shard.Others
				}
			}
			if tc.invariant == "maximum" {
				cfg.Maxima = map[string]shard.Maximum{"one": {Part: 0.5}}
			}
			if tc.invariant == "fairness" || tc.invariant == "maximum" {
				cfg.Groups = map[string]float64{"one": 1, "two": 1, shard.Others: 1}
				cfg.Flows = slices.Clone(cfg.Flows)
				cfg.Flows[0].Group, cfg.Flows[1].Group, cfg.Flows[2].Group = "one", "two", shard.Others
			}
			if tc.invariant == "spread" {
				cfg.Limit = 12 // so that a few requests make no difference
			}
			cfg.Break, cfg.Faults, cfg.Cancel = tc.broken, tc.faults, tc.cancel
			_, err := Run(cfg)
			if !errors.Is(err, ErrInvariant) || !strings.Contains(err.Error(), tc.invariant) {
				t.Errorf("got %v, want %s broken", err, tc.invariant)
			}
		})
	}
}
