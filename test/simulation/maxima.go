package simulation

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/weirflow/weir/shard"
)

// maximum is how many requests a group may have in flight where that many slots are in use: a
// maximum may be a part of them; 0 for any number.
func maximum(m shard.Maximum, slots int64) int64 {
	if m.Any() {
		return max(1, int64(m.Slots(slots)))
	}
	return 0
}

// around are the groups around a flow, by its id, the innermost first.
func (c *Config) around(id string) (paths []string) {
	for i := range c.Flows {
		if c.Flows[i].ID == id && c.Flows[i].Group != "" {
			for path := range shard.Around(c.Flows[i].Group) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// checkMaxima: never more of a group at the model servers than its maximum, with the
// allowances of the pool's limit. While the ledger is out of reach, each of the replicas may
// have one.
func (f *fleet) checkMaxima() {
	if len(f.cfg.Maxima) == 0 {
		return
	}
	for path, g := range f.counts.groups {
		if most := maximum(g.most, f.cfg.Limit); most > 0 && g.atServers > most && g.atServers > most+f.allowed(g.alone) {
			f.fail("maximum", "%d requests of group %s at the model servers, of %d", g.atServers, path, most)
		} else if most > 0 && g.alone > max(most, int64(f.cfg.Replicas)) {
			f.fail("maximum", "%d requests of group %s went without the ledger, of %d", g.alone, path, most)
		}
	}
}

// bound gives groups a maximum in every other fleet that has groups: those without flows that
// must not wait for it.
func (c *Config) bound(rng *rand.Rand) {
	if len(c.Groups) == 0 || rng.IntN(2) > 0 {
		return
	}
	c.Maxima = map[string]shard.Maximum{
		"a":   {Part: []float64{0.3, 0.5, 0.75}[rng.IntN(3)]},
		"a/x": {Requests: int64(1 + rng.IntN(3))},
		"b":   {Requests: int64(1 + rng.IntN(int(c.Limit)))},
	}
	for _, path := range slices.Sorted(maps.Keys(c.Maxima)) {
		if rng.IntN(3) == 0 {
			delete(c.Maxima, path)
		}
	}
	for i := range c.Flows {
		if flow := &c.Flows[i]; flow.Priority != 0 {
			for _, path := range c.around(flow.ID) {
				delete(c.Maxima, path)
			}
		}
	}
}

// bounded reports whether a group, or one in it, has a maximum: it may have to wait for that.
func (c *Config) bounded(path string) bool {
	for of := range c.Maxima {
		for outer := range shard.Around(of) {
			if outer == path {
				return true
			}
		}
	}
	return false
}
