package core

import (
	"errors"
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// Retries after a failed turn come after a pause that doubles up to maxPause,
// half of it drawn at random, so that the replicas do not come back in step.
const (
	minPause = 10 * time.Millisecond
	maxPause = 250 * time.Millisecond
)

// turnFailed plans the next try, and declares an outage when tries have failed
// for long enough.
func (c *Core) turnFailed(now time.Time, err error) {
	t := &c.turn
	if errors.Is(err, store.ErrSuperseded) {
		c.supersede(now)
		return
	}
	if !t.failing {
		t.failing, t.since = true, t.last
		if c.slept(now) {
			t.since = now
		}
	}
	pause := min(minPause<<min(t.failures, 8), maxPause)
	t.failures++
	t.retry = now.Add(pause/2 + time.Duration(c.jitter.Int64N(int64(pause/2)+1)))
	t.due = true
	if !t.outage && now.Sub(t.since) >= c.cfg.OutageAfter {
		t.outage = true
		t.register.raise()              // whatever happens now must be told in full
		c.loads.others = []store.Load{} // nobody tells of them any more
		c.rehome(now)
	}
}

// slept reports whether the turn under way began so long ago that it was this
// process that did not run, and not the ledger that took its time: what it said
// is out of date.
func (c *Core) slept(now time.Time) bool { return now.Sub(c.turn.last) > c.cfg.Lease/2 }

// supersede ends this replica's part in the pool: another process runs under its
// id, and two under one id would be counted as one.
func (c *Core) supersede(now time.Time) {
	c.turn.superseded, c.turn.left = true, true
	c.CancelAll(now, EvictedOther, store.ErrSuperseded)
}

// repaid is how far back an outage's charges are settled when it is over. Flows
// that came in by many replicas got more than their share of it, and settling
// all of a long outage would starve them for as long afterwards.
const repaid = 500 * time.Millisecond

// aloneCharge is a charge made by this replica's own decision.
type aloneCharge struct {
	at      time.Time
	request *request // knows what it has been charged since
	counter float64  // the least that the flow's counter was at
}

// rejoin settles the last charges of an outage that is over. What the others turn out
// to cost is not settled either.
func (c *Core) rejoin(now time.Time) {
	c.queues.Rejoin()
	for _, charge := range c.alone {
		if r := charge.request; now.Sub(charge.at) < repaid {
			r.alone = false
			c.settle(r.Flow, r.policy, r.charge, charge.counter, 0)
		}
	}
	c.alone = nil
	c.rehome(now)
}

// dispatchShare decides by itself, within this replica's share of the limit:
// the limit over the number of members when the ledger was lost.
func (c *Core) dispatchShare(now time.Time) {
	if c.cfg.OnStoreOutage == Hold || c.pool.Endpoints == 0 {
		return
	}
	for {
		t, charge, ok := c.queues.Best()
		if !ok {
			return
		}
		b := c.band(now, t.Flow.Priority)
		if int64(len(c.inFlight)) >= c.share(b) {
			return
		}
		r := c.waiting[t.ID]
		if r == nil { // another replica's, which does the same
			c.queues.Remove(t.ID, now)
			c.queues.Refill()
			continue
		}
		if !c.openAlone(t.Flow) {
			c.queues.Room(t.Flow, 0, 0, now)
			c.queues.Refill()
			continue
		}
		r.policy, r.charge, r.counter, r.alone = b.policy, charge, b.v, true
		if charge != 0 {
			c.queues.ChargedAlone(t.Flow, charge)
			for len(c.alone) > 0 && now.Sub(c.alone[0].at) >= repaid {
				c.alone = c.alone[1:]
			}
			c.alone = append(c.alone, aloneCharge{at: now, request: r, counter: b.v})
		}
		if !c.turn.alone.raised { // what comes after it was said is told by the next count
			c.turn.alone.raise()
		}
		c.dispatch(now, r)
		c.queues.Refill()
	}
}

// share is this replica's part of a band's limit: an even one; where the limit
// does not divide, the first replicas by their ids get one more.
func (c *Core) share(b *band) int64 {
	live, _ := c.fleet.members()
	members := int64(max(c.turn.members, live)) // who started during the outage was never told
	limit := b.ceiling
	share := limit / members
	ids := []string{c.cfg.Replica}
	for id, p := range c.fleet.peers {
		if p.live {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if int64(len(ids)) == members && int64(slices.Index(ids, c.cfg.Replica)) < limit%members {
		share++
	}
	return share
}
