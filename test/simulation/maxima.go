package simulation

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/weirflow/weir/shard"
)

// maximum is how many requests a group may have in flight; 0 for any number.
func (c *Config) maximum(path string) int64 { return c.maximumOf(path, c.Limit) }

// maximumOf is the same where that many slots are in use: a maximum may be a part of them.
func (c *Config) maximumOf(path string, slots int64) int64 {
	if m := c.Maxima[path]; m.Any() {
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

// inGroups is how many requests of each group are at the model servers.
func (f *fleet) inGroups() map[string]int64 {
	if len(f.cfg.Maxima)+len(f.cfg.Floors) == 0 {
		return nil
	}
	at := make(map[string]int64)
	for _, x := range f.flights {
		for _, path := range f.cfg.around(x.flow) {
			at[path]++
		}
	}
	return at
}

// full reports whether a flow is in a group at its maximum, where so many are in groups and
// that many slots are in use.
func (c *Config) full(id string, at map[string]int64, slots int64) bool {
	if at == nil {
		return false
	}
	for _, path := range c.around(id) {
		if most := c.maximumOf(path, slots); most > 0 && at[path] >= most {
			return true
		}
	}
	return false
}

// checkMaxima: never more of a group at the model servers than its maximum, with the
// allowances of the pool's limit. While the ledger is out of reach, each of the replicas may
// have one.
func (f *fleet) checkMaxima() {
	at := f.inGroups()
	for path := range f.cfg.Maxima {
		most := f.cfg.maximum(path)
		if at[path] > most+f.allowed() {
			f.fail("maximum", "%d requests of group %s at the model servers, of %d", at[path], path, most)
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
