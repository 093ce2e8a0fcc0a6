package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// floor guarantees groups a part of the pool in every other fleet that has groups.
func (c *Config) floor(rng *rand.Rand) {
	if len(c.Groups) == 0 || rng.IntN(2) > 0 {
		return
	}
	c.Floors = []map[string]float64{{"a/x": 0.1}, {"a/y": 0.3}, {"b": 0.05, "a": 0.3}, {"a": 0.3, "a/x": 0.2}}[rng.IntN(4)]
}

// floored reports whether a group, or one in it, is guaranteed something: it may have more than
// its share by weight.
func (c *Config) floored(path string) bool {
	for of := range c.Floors {
		if within(of, path) {
			return true
		}
	}
	return false
}

// within reports whether a group is that of the path, or in it.
func within(group, path string) bool {
	return group == path || len(group) > len(path) && group[:len(path)+1] == path+"/"
}

// guaranteed are the classes that are guaranteed something: priorities, and groups over all of
// them; and what.
func (c *Config) guaranteed() map[class]float64 {
	all := make(map[class]float64)
	for priority, part := range c.Guaranteed {
		all[class{priority: priority}] = part
	}
	for path, part := range c.Floors {
		all[class{group: path}] = part
	}
	return all
}

// inFloor reports whether a group is in one that is guaranteed something.
func (c *Config) inFloor(group string) bool {
	for i, r := range group {
		if r == '/' && c.Floors[group[:i]] > 0 {
			return true
		}
	}
	return false
}

// holds reports whether a request of a flow, by its id, is of a class.
func (c *Config) holds(of class, priority int, flow string) bool {
	if of.group == "" {
		return priority == of.priority
	}
	for _, path := range c.around(flow) {
		if path == of.group {
			return true
		}
	}
	return false
}

// accountGuarantees adds up what priorities and groups lack of their guarantees while they
// wait, over the interval in which they lack most, until that time: in the slots that requests
// really had, so that what a fault costs all is not held against it. To the ledger a slot is
// taken from the grant until it hears of the end: a little longer than at the model servers,
// and not for all alike. A group at a maximum does not wait.
func (f *fleet) accountGuarantees(until time.Time) {
	seconds, inGroups, slots := until.Sub(f.now).Seconds(), f.inGroups(), f.inUse()
	for of, part := range f.guaranteed {
		has, waits := 0, false
		for _, x := range f.flights {
			if f.cfg.holds(of, x.priority, x.flow) {
				has++
			}
		}
		for _, n := range f.nodes {
			for _, w := range n.waiting {
				waits = waits || f.cfg.holds(of, w.flow.Priority, w.flow.ID) && (of.group == "" || f.roomFor(n) && !f.cfg.full(w.flow.ID, inGroups, slots))
			}
		}
		if !waits {
			f.lacked[of] = 0
			continue
		}
		f.lacked[of] = max(0, f.lacked[of]+(part*atServers*float64(len(f.flights))-float64(has))*seconds)
	}
}

// atServers is what is at the model servers, at least, of the time that a slot is taken.
const atServers = 0.97

// checkGuarantees: what is guaranteed something gets it over every interval.
func (f *fleet) checkGuarantees() {
	if !f.well() {
		clear(f.lacked)
		return
	}
	for of, lacks := range f.lacked {
		f.lackSeen = max(f.lackSeen, lacks)
		if bound := f.lackBound(of); lacks > bound {
			name := fmt.Sprint("priority ", of.priority)
			if of.group != "" {
				name = "group " + of.group
			}
			f.fail("guarantee", "%s lacks %.2f slot-seconds of what it is guaranteed, %.2f at most may be", name, lacks, bound)
		}
	}
}

// lackBound is one request of its own, what it lacks while the requests of others end, and
// one request for what is on its way (see docs/shares.md). Where messages are lost, it also
// lacks what it would have had until that was noticed.
func (f *fleet) lackBound(of class) float64 {
	slots := f.guaranteed[of] * float64(f.cfg.Limit)
	bound := f.cfg.Service.Seconds() * 8 / 5 * (2 + slots)
	if f.cfg.Loss > 0 {
		bound += (1 + slots) * (220 * time.Millisecond).Seconds()
	}
	if f.cfg.MessageLoss > 0 || f.severed {
		bound += 2 * (1 + slots) * peerTimeout.Seconds()
	}
	return bound
}
