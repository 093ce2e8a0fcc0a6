package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weirflow/weir/shard"
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
	if rng := rand.New(rand.NewPCG(seed, 8)); seed >= apart && cfg.Bounded && rng.IntN(3) == 0 {
		cfg.listApart(rng)
	}
	cfg.weigh(rand.New(rand.NewPCG(seed, 7)))
	cfg.group(rand.New(rand.NewPCG(seed, 2)))
	if cfg.Bounded && rand.New(rand.NewPCG(seed, 4)).IntN(3) == 0 {
		cfg.Faults = append(cfg.Faults, Drain)
	}
	cfg.bound(rand.New(rand.NewPCG(seed, 3)))
	if rng := rand.New(rand.NewPCG(seed, 5)); rng.IntN(4) == 0 {
		cfg.RoundTrip = time.Duration(1+rng.IntN(60)) * time.Millisecond
		if rng.IntN(3) == 0 { // far
			cfg.RoundTrip *= 5
		}
	}
	cfg.floor(rand.New(rand.NewPCG(seed, 6)))
	if seed >= wider {
		cfg.widen(rand.New(rand.NewPCG(seed, 10)))
	}
	return cfg
}

// wider is the first seed in whose fleets turns may arrive late, weights change, replicas are back at
// once, the ledger's clock is put forward or back, requests are revoked, a flow has a limit, or nothing
// goes without the ledger.
const wider = 600_000

// widen draws these.
func (c *Config) widen(rng *rand.Rand) {
	c.Late, c.Hold, c.Evict = rng.IntN(2) == 0, rng.IntN(4) == 0, rng.IntN(3) == 0
	faults := []Fault{Restart, Reload, Jump}
	if slices.ContainsFunc(c.Faults, func(x Fault) bool { return x == Pause || x == LedgerCut || x == Outage }) {
		faults = faults[:2] // for how long those may be lost, time alone says
	}
	for range rng.IntN(3) {
		c.Faults = append(c.Faults, faults[rng.IntN(len(faults))])
	}
	c.One = !c.Bounded && rng.IntN(2) == 0
	if c.ByTime = rng.IntN(4) == 0 && len(c.Guaranteed)+len(c.Weights)+len(c.Floors)+len(c.Maxima) == 0; c.ByTime {
		c.Flows[0].Longer = float64(1 + rng.IntN(3))
	}
	if rng.IntN(3) == 0 {
		flow := Flow{ID: "limited", Weight: 1, Clients: 1 + rng.IntN(8), Most: int64(1 + rng.IntN(3)), Light: true, Replicas: rng.Perm(c.Replicas)[:1+rng.IntN(c.Replicas)]}
		if len(c.Groups) > 0 {
			flow.Group = c.Flows[0].Group
		}
		c.Flows = append(c.Flows, flow)
	}
}

// apart is the first seed in whose fleets several replicas may reach any of the endpoints: what those
// before are known for stays as it was.
const apart = 240_000

// listApart has every other replica reach some of the endpoints, whichever they are.
func (c *Config) listApart(rng *rand.Rand) {
	c.Reach = make(map[int][]string)
	for i := range c.Replicas {
		if some := rng.IntN(1 << len(endpoints)); rng.IntN(2) == 0 && some > 0 && some < 1<<len(endpoints)-1 {
			for e := range endpoints {
				if some&(1<<e) != 0 {
					c.Reach[i] = append(c.Reach[i], endpoints[e])
				}
			}
		}
	}
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
