package core

import (
	"context"
	"time"

	"github.com/weirflow/weir/store"
)

// Pool is what the core must know of the model servers.
type Pool struct {
	// Endpoints is how many there are.
	Endpoints int
	// Limit is how many requests they take in flight; [store.Unlimited] for no
	// limit.
	Limit int64
	// Saturation is how full they are, 1 being full.
	Saturation float64
	// Stale is how many of them count as full because their readings are too old.
	Stale int
}

// SetPool says what the endpoints take.
func (c *Core) SetPool(now time.Time, p Pool) {
	appeared := (c.pool.Endpoints == 0) != (p.Endpoints == 0)
	if c.pool == p {
		return
	}
	c.pool = p
	c.relimit(now)
	c.turn.due = true
	if appeared { // the other of the two budgets counts now
		for _, r := range c.byTicket(c.waiting) {
			c.setDeadline(r)
		}
		c.expire(now)
	}
}

// saturation is how full the pool is: as the ledger counts where the limit is
// known, and as the detector last said otherwise.
func (c *Core) saturation() float64 {
	if c.pool.Limit <= 0 || c.pool.Limit >= store.Unlimited {
		return c.pool.Saturation
	}
	return float64(c.totals.InFlight) / float64(c.pool.Limit)
}

// relimit works out the bands' limits. Replicas that lost the ledger dispatch
// within their shares, so those who have it leave them theirs.
func (c *Core) relimit(now time.Time) (changed bool) {
	live, lost := c.fleet.members()
	connected := live - lost
	if !c.turn.register.raised && c.totals.Members > 0 {
		connected = min(connected, c.totals.Members)
	}
	priorities := make([]int, len(c.bands))
	for i, b := range c.bands {
		priorities[i] = b.priority
	}
	ceilings := c.cfg.UsageLimit.Ceilings(context.Background(), now.Add(c.clock), c.saturation(), priorities)
	for i, b := range c.bands {
		switch {
		case c.pool.Endpoints == 0:
			b.ceiling = store.NoOpinion
		case c.pool.Limit >= store.Unlimited:
			b.ceiling = store.Unlimited
		default:
			b.ceiling = int64(float64(c.pool.Limit)*ceilings[i] + 1e-9)
		}
		before := b.limit
		b.limit = b.ceiling
		if connected < live && b.ceiling > 0 {
			b.limit = b.ceiling * int64(connected) / int64(live)
		}
		changed = changed || b.limit != before
	}
	return changed
}
