package core

import "time"

// Retries after a failed turn come after a pause that doubles up to maxPause,
// half of it drawn at random, so that the replicas do not come back in step.
const (
	minPause = 10 * time.Millisecond
	maxPause = 250 * time.Millisecond
)

// turnFailed plans the next try, and declares an outage when tries have failed
// for long enough.
func (c *Core) turnFailed(now time.Time) {
	t := &c.turn
	if !t.failing {
		t.failing, t.since = true, t.last
	}
	pause := min(minPause<<min(t.failures, 8), maxPause)
	t.failures++
	t.retry = now.Add(pause/2 + time.Duration(c.jitter.Int64N(int64(pause/2)+1)))
	t.due = true
	if !t.outage && now.Sub(t.since) >= c.cfg.OutageAfter {
		t.outage = true
		t.register = true // whatever happens now must be told in full
	}
}

// dispatchShare decides by itself, within this replica's share of the limit:
// the limit over the number of members when the ledger was lost. Charges made
// so are settled when it is back.
func (c *Core) dispatchShare(now time.Time) {
	if c.cfg.OnStoreOutage == Hold || c.pool.Endpoints == 0 {
		return
	}
	for {
		t, charge, ok := c.queues.Best()
		if !ok {
			return
		}
		b := c.band(t.Flow.Priority)
		if share := b.limit / int64(c.turn.members); int64(len(c.inFlight)) >= share {
			return
		}
		r := c.waiting[t.ID]
		c.queues.Remove(t.ID, now)
		if r == nil {
			continue
		}
		r.policy, r.charge, r.counter = b.policy, charge, b.v
		if charge != 0 {
			c.settle(t.Flow, b.policy, charge, b.v)
		}
		c.turn.alone = true
		c.dispatch(r)
		c.queues.Refill()
	}
}
