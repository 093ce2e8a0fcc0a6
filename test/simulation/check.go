package simulation

import (
	"errors"
	"math"
	"slices"
	"time"
)

// ErrInvariant wraps every broken invariant.
var ErrInvariant = errors.New("invariant broken")

// Result is what a run measured.
type Result struct {
	Permits             bool // some replica had float at some time
	FromLine            int  // requests that went from a line
	Grants, Turns       int
	Used                float64 // the part of the slots' time that was in use, since the fleet had started
	LightGrants         int     // those of the Light flows
	Revoked             int
	Peak                int     // the most requests at the model servers
	ServiceGap          float64 // the largest between two backlogged flows of a band
	LackSeen            float64 // the most slot-seconds that a priority or a group lacked of its guarantee
	AheadSeen           float64 // the most that a priority was ahead of another by their weights, of what may be
	Moves, MovedTickets int
	// WaitP50, WaitP90 and WaitP99 are of the Light flows.
	WaitP50, WaitP90, WaitP99 time.Duration
	// Share is the least that a flow that always waits got, to the share of one of those
	// that waited; only with Fresh.
	Share float64
}

const (
	// manyFlows is the number of flows above which fairness is checked every 50 ms
	// only, and not after every event.
	manyFlows = 100
	// settled is how long after a fault all must be as before: a lease, the time to
	// notice a death, and a repetition in full.
	settled = 5 * time.Second
	// warm is how long the fleet has to start.
	warm = 2 * time.Second
	// lossyInterval is the longest over which slots are compared where messages are lost.
	lossyInterval = 4 * time.Second
)

// highWait is how long a request may wait in a flow that goes before all others:
// until a slot is free and a few turns are taken. A lost turn is noticed after 50
// ms and may be lost again; a lost ticket after PeerTimeout, three times at most. That is for 5 of 100 statements and
// replies at most: where 20 are, replicas go on by themselves every other second and come back, and all wait for
// all to state what they have. What is guaranteed to others goes first: where less than a slot is left, there
// is one for that part of the time, in which a request has it until the ledger hears of its end.
func (c *Config) highWait() time.Duration {
	wait := 400*time.Millisecond + 4*c.furthest()
	if left := float64(c.Limit) * (1 - c.prioritiesBeside(urgentPriority) - c.floorsBeside("")); left < 1 {
		wait += time.Duration(float64(c.Service*8/5+2*c.furthest()) / max(left, 0.01))
	}
	if c.Loss > 0 {
		wait += 800 * time.Millisecond
	}
	if c.MessageLoss > 0 {
		wait += 3*peerTimeout + 200*time.Millisecond
	}
	return wait
}

// urgentPriority is that of flows which go before all others.
const urgentPriority = 10

// furthest is the round trip of the replica that is furthest from the ledger.
func (c *Config) furthest() time.Duration { return max(c.RoundTrip, c.FirstFar) }

// idleAtMost is how long capacity may be free while tickets wait. A replica that holds
// all of it, in messages that it has not read, may lose five turns one after the other:
// that is 250 ms and pauses of 310. Where messages are lost, a replica may leave another
// its outage share until that one has reported for the second time that it has the ledger.
// A slot that ends waits for the turn under way and for its own, two round trips in all, and
// another may end just before it is filled.
func (c *Config) idleAtMost() time.Duration {
	switch {
	case c.MessageLoss > 0:
		return 1500 * time.Millisecond
	case c.Loss > 0:
		return 700 * time.Millisecond
	}
	return 150*time.Millisecond + 4*c.furthest()
}

// check checks what must hold after every event.
func (f *fleet) check() error {
	quiet, well := f.quiet(), f.well()
	f.checkCapacity()
	f.checkEndpoints()
	f.checkShares()
	f.checkMaxima()
	f.checkLimits()
	f.checkAuthority()
	f.checkLine(well)
	f.checkProgress(quiet)
	f.checkSpread(quiet && well)
	since := well && !f.measureAnew()
	f.checkGuarantees(since)
	f.checkWeights(since)
	if len(f.cfg.Flows) <= manyFlows {
		f.checkFairness(well)
	}
	if f.now.Sub(f.looked) >= 50*time.Millisecond {
		f.looked = f.now
		f.checkFairness(well)
		f.checkWaits(quiet)
	}
	return f.failed
}

// measureAnew reports whether what classes had of the slots is measured from here on. What a lost
// message costs one is not paid back, since it was not known to wait: where messages are lost
// again and again, only intervals of a few seconds are bounded.
func (f *fleet) measureAnew() bool {
	if f.cfg.Loss == 0 && f.cfg.MessageLoss == 0 || f.now.Sub(f.measured) < lossyInterval {
		return false
	}
	f.measured = f.now
	return true
}

func (f *fleet) quiet() bool {
	return f.dead == 0 && !f.down && f.now.Sub(f.faulty) >= settled && f.now.Sub(f.began) >= warm
}

// well is like quiet, but disregards faults that must not affect fairness.
func (f *fleet) well() bool {
	return f.now.Sub(f.began) >= warm && !f.now.Before(f.repaid) && f.dead == 0 && f.astray == 0 && !f.down && f.cutOff == 0 && (f.disturbed.IsZero() || f.now.Sub(f.disturbed) >= settled)
}

// repayment is how long flows are repaid that waited and could not be served for a time, since
// nothing was free that their replica reaches. Meanwhile others had all of the pool, and now
// they have; one of three times the weight is due three times as much of it.
func (c *Config) repayment(missed time.Duration) time.Duration {
	lightest, heaviest := math.Inf(1), 0.0
	weigh := func(weight float64) { lightest, heaviest = min(lightest, weight), max(heaviest, weight) }
	for i := range c.Flows {
		weigh(c.Flows[i].Weight)
	}
	for _, weight := range c.Groups {
		weigh(weight)
	}
	return time.Duration(float64(missed) * heaviest / lightest)
}

// checkCapacity: never more at the model servers than the limit, also those of replicas
// that have stopped or were cut off (evidence), with the allowances of allowed.
func (f *fleet) checkCapacity() {
	f.peak = max(f.peak, len(f.flights))
	if n := int64(len(f.flights)); n > f.cfg.Limit && n > f.cfg.Limit+f.allowed(f.counts.alone) {
		f.fail("capacity", "%d requests at the model servers, %d of them without the ledger, the limit is %d", len(f.flights), f.counts.alone, f.cfg.Limit)
	}
}

// checkEndpoints: never more at an endpoint than it takes, with the same allowances.
func (f *fleet) checkEndpoints() {
	if !f.cfg.Bounded {
		return
	}
	for i, at := range f.counts.atEndpoints {
		takes, alone := f.cfg.takes(i), f.counts.aloneAt[i]
		if at > takes && at > takes+f.allowed(alone)+f.forcedAt(endpoints[i]) {
			f.fail("endpoint", "%d requests at endpoint %q, %d of them without the ledger, which takes %d", at, endpoints[i], alone, takes)
		}
	}
}

// allowed is by how many requests a limit may be passed at the time, where so many went by the
// shares that replicas have without the ledger: it does not count these until it is told of them. All others
// it granted, within the limit.
func (f *fleet) allowed(alone int64) int64 {
	limit := alone
	if f.now.Sub(f.rolledBack) < authority {
		// Grants and float that only the forgotten state knew are counted again with their
		// replica's next turn.
		limit += f.cfg.Limit
	}
	return limit + f.unknownFlights() // a ledger that lost its memory hears of them when their replica goes on
}

// checkFairness: backlogged flows of a band keep together, also over a wipe, a
// split and a rumour: no move resets a flow's standing (continuity).
func (f *fleet) checkFairness(well bool) {
	if !well {
		f.counts.forget() // the measurement begins again when the fault is over
		return
	}
	if !f.counts.served {
		return
	}
	f.counts.served = false
	gap, a, b := f.counts.gap()
	f.gapSeen = max(f.gapSeen, gap)
	if gap > f.gapBound()+1e-6 { // sums of thirds are not exact
		f.fail("fairness and continuity", "%v is %.1f requests ahead of %v", a, gap, b)
	}
}

// gapBound is one maximal charge of each of the two flows, and the grants that may be on
// their way to a replica and what stands in line, at both ends of the measured time (see docs/fairness.md). It
// grows neither with the time measured nor with the number of replicas. Where messages
// are lost, a flow also misses what it would have got until that was noticed, and may do
// so twice before it has caught up.
func (f *fleet) gapBound() float64 {
	bound := 4 + 2*float64(f.cfg.Limit) + 2*f.cfg.inLine()
	if f.cfg.Loss > 0 { // what others get while an owner loses three turns: 150 ms, and pauses of 70
		bound += float64(f.cfg.Limit) * float64(220*time.Millisecond) / float64(f.cfg.Service)
	}
	if f.cfg.MessageLoss > 0 || f.severed {
		bound += 2 * float64(f.cfg.Limit) * float64(peerTimeout) / float64(f.cfg.Service)
	}
	if f.cfg.ByTime {
		return f.cfg.timeBound(bound)
	}
	return bound
}

// checkProgress: capacity is not free for long while tickets wait.
func (f *fleet) checkProgress(quiet bool) {
	// In a large pool some slots are always free: those whose requests end during one
	// turn, which waits for the turns of all other replicas.
	turn := 5*time.Millisecond + 2*time.Duration(f.cfg.Replicas)*f.cfg.TurnCost + 2*f.cfg.furthest()
	ending := f.cfg.Limit * int64(turn) / int64(f.cfg.Service)
	if !quiet || f.cutOff > 0 || f.free() <= ending {
		f.idleSince = time.Time{}
		return
	}
	waiting := f.mayGo()
	if waiting == 0 {
		f.idleSince = time.Time{}
		return
	}
	if f.idleSince.IsZero() {
		f.idleSince = f.now
	}
	if f.now.Sub(f.idleSince) > f.cfg.idleAtMost() {
		f.fail("work conserving", "%d of %d in flight and %d waiting for %v", len(f.flights), f.cfg.Limit, waiting, f.now.Sub(f.idleSince))
	}
}

// mayGo is how many requests wait that an endpoint has room for, and no maximum stops.
func (f *fleet) mayGo() (waiting int) {
	slots := f.inUse()
	for _, c := range f.counts.crowds {
		if c.full(slots) {
			continue
		}
		for i, n := range c.waiting {
			if n > 0 && f.nodes[i].alive && f.roomFor(f.nodes[i]) {
				waiting += n
			}
		}
	}
	return waiting
}

// checkSpread: requests spread over the endpoints, whichever replicas they are at. A few
// are sent elsewhere on purpose.
func (f *fleet) checkSpread(well bool) {
	least, most := slices.Min(f.counts.atEndpoints[:]), slices.Max(f.counts.atEndpoints[:])
	if !well || f.cfg.Bounded || f.cfg.One || most-least <= int64(max(2, f.cfg.Replicas)) { // each spreads its own
		f.unevenSince = time.Time{}
		return
	}
	if f.unevenSince.IsZero() {
		f.unevenSince = f.now
	}
	if f.now.Sub(f.unevenSince) > max(time.Second, 2*f.cfg.Service)+4*f.cfg.furthest() { // none is moved once it runs
		f.fail("spread", "from %d to %d requests at the endpoints for %v", least, most, f.now.Sub(f.unevenSince))
	}
}

// checkWaits: every request's turn comes, and a higher band's before the others'.
func (f *fleet) checkWaits(quiet bool) {
	if !quiet || f.cutOff > 0 || f.astray > 0 || slices.ContainsFunc(endpoints, func(e string) bool { return f.drained[e] }) {
		return
	}
	since := f.faulty
	top := f.cfg.top()
	for _, n := range f.nodes {
		for seq, w := range n.waiting {
			waited := f.now.Sub(w.at)
			if !since.IsZero() {
				waited = min(waited, f.now.Sub(since)-settled)
			}
			of := w.tenant.key
			if waited > f.longest && of.Priority == top && f.cfg.Fresh == 0 { // else there is no end of those before it
				f.fail("no ticket lost", "request %d of %v at %s has waited for %v", seq, of, n.id, f.now.Sub(w.at))
			}
			if waited > f.cfg.highWait() && w.tenant.light && of.Priority > 0 {
				f.fail("priority", "request %d of %v at %s has waited for %v", seq, of, n.id, f.now.Sub(w.at))
			}
		}
	}
}

// longestWait is twice the time until a request's turn comes when it is the last
// of its flow's, and some more, of the highest priority that always waits; all of the run if a flow
// may get next to nothing.
func (c *Config) longestWait() (longest time.Duration) {
	top := c.top()
	for i := range c.Flows {
		if c.Flows[i].Priority != top {
			continue
		}
		part := c.part(&c.Flows[i])
		if part <= 0.001 {
			return c.Length
		}
		ahead := float64(c.Flows[i].Clients*len(c.Flows[i].Replicas)) * max(1, c.Flows[i].Longer) / part
		longest = max(longest, time.Duration(ahead/float64(c.Limit)*float64(c.Service+c.furthest())))
		if most := c.Flows[i].Most; most > 0 { // the next is offered, and granted, once it is known that one ended
			longest = max(longest, time.Duration(ahead*part/float64(most)*float64(c.Service+4*c.furthest())))
		}
	}
	if c.Drift { // a replica learns of its clock's error from the ledger's first answer
		longest += time.Second
	}
	if c.Loss > 0 { // two turns of its owner are lost, one after the other, and two of its ingress
		longest += 2 * (2*c.RoundTrip + 100*time.Millisecond)
	}
	return 2*longest + time.Second
}

// top is the highest priority with flows that are always backlogged; lower ones may never
// be served.
func (c *Config) top() int {
	top := -1 << 31
	for i := range c.Flows {
		if !c.Flows[i].Light {
			top = max(top, c.Flows[i].Priority)
		}
	}
	return top
}

// waited notes how long a light flow's request waited.
func (f *fleet) waited(t *tenant, d time.Duration) {
	if t.light && f.now.Sub(f.began) >= warm {
		f.waits = append(f.waits, d)
	}
}

func (f *fleet) result() (*Result, error) {
	r := &Result{
		Used:    f.used.Seconds() / (float64(f.cfg.Limit) * (f.cfg.Length - warm).Seconds()),
		Permits: f.permits > 0, Peak: f.peak, Turns: f.turns, Revoked: f.revoked, LightGrants: f.lightGrants, ServiceGap: f.gapSeen, LackSeen: f.lackSeen, AheadSeen: f.aheadSeen, Moves: f.moves, MovedTickets: f.movedTickets,
		WaitP50: percentile(f.waits, 50), WaitP90: percentile(f.waits, 90), WaitP99: percentile(f.waits, 99),
	}
	for _, outcome := range f.decided {
		if outcome == 1 {
			r.Grants++
		}
	}
	for _, n := range f.nodes {
		r.FromLine += int(n.core.View(n.now()).Tallies.FromLine)
	}
	r.Share = f.leastShare()
	return r, nil
}
