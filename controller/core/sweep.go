package core

import (
	"slices"
	"time"
)

// Tick lets time pass: requests whose time is up are evicted, and what has been
// idle is forgotten.
func (c *Core) Tick(now time.Time) {
	c.expire(now)
	c.watchPeers(now)
	if now.Sub(c.lastSwept) >= restateEvery {
		c.lastSwept = now
		c.requeue(now)
		c.queues.Collect(now)
		c.collectBands()
		c.collectPeers(now)
	}
}

// requeue queues what should wait here and does not, such as a ticket that the
// ledger took for another owner's.
func (c *Core) requeue(now time.Time) {
	if len(c.waiting) == c.queues.Len() && len(c.fleet.peers) == 0 {
		return
	}
	for r := range c.fleet.self.homed.All() {
		if !c.queues.Has(r.ID) {
			r.Waited = true
			c.queueHere(now, r)
		}
	}
}

func (c *Core) expire(now time.Time) {
	for c.deadlines.Len() > 0 {
		r := c.deadlines.Min()
		if r.deadline.After(now) {
			return
		}
		if c.pool.Endpoints == 0 {
			c.evict(now, r, EvictedNoEndpoints, ErrNoEndpoints)
		} else {
			c.evict(now, r, EvictedTTL, ErrTTLExpired)
		}
	}
}

// collectBands forgets priorities that nothing waits or runs at.
func (c *Core) collectBands() {
	c.bands = slices.DeleteFunc(c.bands, func(b *band) bool {
		queued, _ := c.queues.Queued(b.priority)
		return b.inFlight == 0 && queued == 0 && !c.queues.Knows(b.priority)
	})
}

// setDeadline gives the request the budget that counts now.
func (c *Core) setDeadline(r *request) {
	ttl := c.cfg.TTL
	if r.ttl > 0 {
		ttl = r.ttl
	}
	if c.pool.Endpoints == 0 {
		ttl = max(0, c.cfg.NoEndpointTTL)
	}
	c.deadlines.Remove(r)
	r.deadline = time.Time{}
	if ttl > 0 {
		r.deadline = r.arrived.Add(ttl)
		r.Deadline = r.Arrival.Add(ttl)
		c.deadlines.Push(r)
	}
}
