package simulation

import (
	"math/rand/v2"
	"time"

	"github.com/weirflow/weir/store"
)

// weigh has two priorities share the pool by weights in every third fleet.
func (c *Config) weigh(rng *rand.Rand) {
	if rng.IntN(3) > 0 {
		return
	}
	c.Weights = map[int]float64{0: []float64{0.5, 1, 2, 3}[rng.IntN(4)], -1: []float64{0.5, 1, 2, 3}[rng.IntN(4)]}
	if c.Guaranteed == nil { // else the lower one has a flow
		c.Flows = append(c.Flows, Flow{ID: "low", Priority: -1, Weight: 1, Clients: 2 * int(c.Limit), Replicas: []int{rng.IntN(c.Replicas)}})
	}
}

// byWeight is what a priority has of the pool at least, by its weight beside others.
func (c *Config) byWeight(priority int) float64 {
	if c.Weights[priority] == 0 {
		return 1
	}
	sum := 0.0
	for _, weight := range c.Weights {
		sum += weight
	}
	return c.Weights[priority] / sum
}

// accountWeights adds up by what one priority has had more than another for its weight, while
// both wait, over the interval in which that is most, until that time. As with guarantees it is
// what requests really had at the model servers. A group at a maximum does not wait.
func (f *fleet) accountWeights(until time.Time) {
	seconds, all := until.Sub(f.now).Seconds(), f.counts.weighed
	if len(all) == 0 || seconds == 0 {
		return
	}
	slots := f.inUse()
	for _, a := range all {
		a.waits = waits(a.crowds, func(c *crowd, _ int) bool { return !c.full(slots) })
	}
	if len(f.counts.guarantees) > 0 {
		f.accountRest(seconds)
		return
	}
	for _, a := range all {
		for i, b := range all {
			switch {
			case a == b:
			case !a.waits || !b.waits:
				a.ahead[i] = 0
			default:
				a.ahead[i] = max(0, a.ahead[i]+(f.cfg.atServers()*float64(a.atServers)/a.weight-float64(b.atServers)/b.weight)*seconds)
			}
		}
	}
}

// accountRest is the same where something is guaranteed, which goes before weights: it adds up by what
// a priority that waits has had less than its part, by its weight, of what is not guaranteed to others.
func (f *fleet) accountRest(seconds float64) {
	var sum, weight float64
	for _, a := range f.counts.weighed {
		sum, weight = sum+float64(a.atServers), weight+a.weight
	}
	for _, a := range f.counts.weighed {
		rest := max(0, sum-(f.cfg.prioritiesBeside(a.priority)+f.cfg.floorsBeside(""))*float64(f.cfg.Limit))
		due := rest * a.weight / weight * f.cfg.atServers()
		if a.lacks = max(0, a.lacks+(due-float64(a.atServers))*seconds); !a.waits {
			a.lacks = 0
		}
	}
}

// checkWeights: what two priorities that wait have had for their weights keeps together, over
// every interval. A ledger that forgot everything, or is another, has them begin level; so it
// is measured anew from there, and after an outage.
func (f *fleet) checkWeights(well bool) {
	well = well && f.now.Sub(f.wiped) >= settled
	for _, a := range f.counts.weighed {
		if !well {
			clear(a.ahead)
			a.lacks = 0
			continue
		}
		if bound := f.restBound(a); a.lacks > bound {
			f.fail("weights", "priority %d lacks %.2f slot-seconds of its part by weight of what is not guaranteed to others, %.2f at most may be", a.priority, a.lacks, bound)
		}
		for i, by := range a.ahead {
			b := f.counts.weighed[i]
			bound := f.weightBound(a.weight, b.weight)
			f.aheadSeen = max(f.aheadSeen, by/bound)
			if by > bound {
				f.fail("weights", "priority %d has had %.2f slot-seconds for its weight more than priority %d, %.2f at most may be", a.priority, by, b.priority, bound)
			}
		}
	}
}

// restBound is what a priority may be behind each other, and what others are given at once that
// is guaranteed to them.
func (f *fleet) restBound(a *weighed) (bound float64) {
	for _, b := range f.counts.weighed {
		if b != a {
			bound = max(bound, a.weight*f.weightBound(b.weight, a.weight))
		}
	}
	for _, g := range f.counts.guarantees {
		bound += f.lackBound(g.part)
	}
	return bound
}

// weightBound is twice that of docs/shares.md, since an interval may begin at any time, where a
// slot is taken for as long as the longest request, and until the ledger has heard of its end.
// Where messages are lost, one priority also misses what it would have had until that was
// noticed. A replica that said nothing for a time had long requests as the ledger knows it.
func (f *fleet) weightBound(ahead, behind float64) float64 {
	longest := f.cfg.Service*8/5 + 3*f.cfg.furthest()/2 + 5*time.Millisecond
	if f.cfg.Loss > 0 {
		longest += 220 * time.Millisecond
	}
	slots := float64(f.cfg.Limit)
	bound := 2 * slots * (store.Foresight(longest+f.longestHeld).Seconds()/behind + longest.Seconds()/ahead)
	if f.cfg.MessageLoss > 0 || f.severed {
		bound += 2 * slots * peerTimeout.Seconds() / ahead
	}
	return bound
}
