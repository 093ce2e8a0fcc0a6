package core

import "time"

// ownCharges is what this replica charged by its own decision in the outage under way,
// as far back as it is settled.
type ownCharges struct {
	bystander
	timings     *Timings
	settlements *settlements

	made []ownCharge // oldest first
}

// ownCharge is one charge.
type ownCharge struct {
	at      time.Time
	request *request // knows what it has been charged since
	counter float64  // the least that the flow's counter was at
}

func (o *ownCharges) add(now time.Time, r *request) {
	for len(o.made) > 0 && now.Sub(o.made[0].at) >= o.timings.OutageSettled {
		o.made = o.made[1:]
	}
	o.made = append(o.made, ownCharge{at: now, request: r, counter: r.counter})
}

// regained settles the last charges. What the others turn out to cost is not settled
// either.
func (o *ownCharges) regained(now time.Time) {
	for _, charge := range o.made {
		if r := charge.request; now.Sub(charge.at) < o.timings.OutageSettled {
			r.own = false
			o.settlements.settle(r.Flow, r.policy, r.charge, charge.counter, 0)
		}
	}
	o.made = nil
}

// dispatchOwnShare decides by itself, within this replica's share of the limit:
// the limit over the number of members when the ledger was lost.
func (c *Core) dispatchOwnShare(now time.Time) {
	if c.cfg.OnStoreOutage == Hold || c.bands.pool.Endpoints == 0 {
		return
	}
	queued := c.queues.set
	for t, charge, ok := queued.Best(); ok; t, charge, ok = queued.Best() {
		b := c.bands.of(now, t.Flow.Priority)
		if int64(len(c.requests.inFlight)) >= c.share(b.Capacity().Ceiling) {
			return
		}
		r := c.requests.waiting[t.ID]
		switch {
		case r == nil: // another replica's, which does the same
			c.queues.takeOut(t.ID, now)
		case !c.limits.openHere(t.Flow, c.bands.members()):
			queued.Room(t.Flow, 0, 0, now)
		default:
			r.policy, r.charge, r.counter, r.own = b.Policy(), charge, b.VirtualTime(), true
			if charge != 0 {
				queued.ChargedAlone(t.Flow, charge)
				c.ownCharges.add(now, r)
			}
			c.exchange.dispatchedAlone()
			c.dispatch(now, r)
		}
		queued.Refill()
	}
}

// share is this replica's part of a limit: an even one; where the limit
// does not divide, the first replicas by their ids get one more.
func (c *Core) share(limit int64) int64 {
	live, _ := c.handover.fleet.members()
	members := int64(max(c.bands.members(), live)) // who started during the outage was never told
	share := limit / members
	if int64(live) == members && int64(c.handover.fleet.position()) < limit%members {
		share++
	}
	return share
}
