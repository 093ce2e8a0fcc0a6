package simulation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
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

// prioritiesBeside is what other priorities are guaranteed.
func (c *Config) prioritiesBeside(priority int) (sum float64) {
	for other, part := range c.Guaranteed {
		if other != priority {
			sum += part
		}
	}
	return sum
}

// floorsBeside is what the groups beside one are guaranteed, or what is in them.
func (c *Config) floorsBeside(path string) (sum float64) {
	for beside := range c.Groups {
		if beside != path && (class{group: beside}).among() == (class{group: path}).among() {
			sum += c.needs(beside)
		}
	}
	return sum
}

// needs is what a group has by its guarantee at least, or by those of the groups in it.
func (c *Config) needs(path string) float64 {
	inner := 0.0
	for of := range c.Groups {
		if of != path && (class{group: of}).among().group == path {
			inner += c.needs(of)
		}
	}
	return max(c.Floors[path], inner)
}

// accountGuarantees adds up what priorities and groups lack of their guarantees while they
// wait, over the interval in which they lack most, until that time: in the slots that requests
// really had, so that what a fault costs all is not held against it. To the ledger a slot is
// taken from the grant until it hears of the end: a little longer than at the model servers,
// and not for all alike. A group at a maximum does not wait.
func (f *fleet) accountGuarantees(until time.Time) {
	if len(f.counts.guarantees) == 0 {
		return
	}
	seconds, slots := until.Sub(f.now).Seconds(), f.inUse()
	for _, g := range f.counts.guarantees {
		may := func(c *crowd, replica int) bool {
			return g.of.group == "" || !c.full(slots) && f.roomFor(f.nodes[replica])
		}
		if !waits(g.crowds, may) {
			g.lacks = 0
			continue
		}
		g.lacks = max(0, g.lacks+(g.part*f.cfg.atServers()*float64(len(f.flights))-float64(g.atServers))*seconds)
	}
	f.accountExcess(seconds)
}

// accountExcess adds up what a priority has of a full pool beyond its guarantee while a higher one waits that
// shares nothing with it by weights, and may go wherever it may.
func (f *fleet) accountExcess(seconds float64) {
	if !f.cfg.strict() {
		return
	}
	for _, g := range f.counts.guarantees {
		higher := false
		for _, c := range f.counts.crowds {
			higher = higher || c.priority > g.of.priority && slices.ContainsFunc(c.waiting, func(n int) bool { return n > 0 })
		}
		switch {
		case !higher:
			g.exceeds = 0
		case f.free() <= 0: // else others only have to ask
			g.exceeds = max(0, g.exceeds+(float64(g.atServers)-g.part*float64(f.cfg.Limit))*seconds)
		}
	}
}

// strict reports whether whatever waits may go in any slot, and only priorities are guaranteed something.
func (c *Config) strict() bool {
	return len(c.Weights)+len(c.Floors)+len(c.Maxima)+len(c.Reach) == 0 && !c.Evict && !slices.Contains(c.Faults, Astray) && !slices.Contains(c.Faults, Drain) &&
		!slices.ContainsFunc(c.Flows, func(flow Flow) bool { return flow.Most > 0 })
}

// atServers is what one has at the model servers, at least, of the time that its slots are taken, to
// what another has: a grant is on its way for half a round trip, and an end is told within half of
// one and two, as it meets the turn under way.
func (c *Config) atServers() float64 {
	return 0.97 * float64(c.Service+c.RoundTrip) / float64(c.Service+2*c.RoundTrip)
}

// kept takes in that a replica has for some time said nothing of its slots: to the ledger they were
// taken. One that is guaranteed more than whole slots may have had another one meanwhile, and
// pays for it.
func (f *fleet) kept(n *node, d time.Duration) {
	f.longestHeld = max(f.longestHeld, d)
	for _, t := range f.tenants {
		if !slices.Contains(t.flow.Replicas, n.index) {
			continue
		}
		for _, g := range t.crowd.guarantees {
			slots := g.part * float64(f.cfg.Limit)
			if over := slots - math.Floor(slots); over > 0 {
				g.repaid = f.now.Add(settled + time.Duration(float64(d)*(1-over)/over))
			}
		}
	}
}

// checkGuarantees: what is guaranteed something gets it over every interval.
func (f *fleet) checkGuarantees(well bool) {
	for _, g := range f.counts.guarantees {
		if !well || f.now.Before(g.repaid) {
			g.lacks, g.exceeds = 0, 0
			continue
		}
		if bound := f.excessBound(g.part); g.exceeds > bound {
			f.fail("guarantee", "priority %d has %.2f slot-seconds beyond what it is guaranteed while higher ones wait, %.2f at most may be", g.of.priority, g.exceeds, bound)
		}
		f.lackSeen = max(f.lackSeen, g.lacks)
		if bound := f.lackBound(g.part); g.lacks > bound {
			name := fmt.Sprint("priority ", g.of.priority)
			if g.of.group != "" {
				name = "group " + g.of.group
			}
			f.fail("guarantee", "%s lacks %.2f slot-seconds of what it is guaranteed, %.2f at most may be", name, g.lacks, bound)
		}
	}
}

// excessBound is one request beyond the whole slots of the guarantee, those that it had of what nobody
// else wanted, which may be all, until they end, and what it lacked before, and is owed. It has these for as
// long as a request, and until its line and its float are called back: who waits takes a turn, and
// a recall is repeated, every 25 ms. Where messages are lost nobody may know of who waits until that was
// noticed, and may be so twice.
func (f *fleet) excessBound(part float64) float64 {
	longest := f.cfg.Service*8/5 + 2*f.cfg.furthest() + 50*time.Millisecond
	if f.cfg.MessageLoss > 0 || f.severed {
		longest += 2 * peerTimeout
	}
	return longest.Seconds()*(1+float64(f.cfg.Limit)) + f.lackBound(part)
}

// lackBound is one request of its own, what it lacks while the requests of others end, and
// one request for what is on its way (see docs/shares.md). Where messages are lost, it also
// lacks what it would have had until that was noticed.
func (f *fleet) lackBound(part float64) float64 {
	slots := part * float64(f.cfg.Limit)
	bound := f.cfg.Service.Seconds() * 8 / 5 * (2 + slots)
	if f.cfg.Loss > 0 {
		bound += (1 + slots) * (220 * time.Millisecond).Seconds()
	}
	if f.cfg.MessageLoss > 0 || f.severed {
		bound += 2 * (1 + slots) * peerTimeout.Seconds()
	}
	return bound
}
