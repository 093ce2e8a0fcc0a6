package core

import (
	"hash/fnv"
	"time"
)

// dispatchOwnShare decides by itself, within this replica's share of the limit:
// the limit over the number of members when the ledger was lost.
func (c *Core) dispatchOwnShare(now time.Time) {
	if c.cfg.OnStoreOutage == Hold || c.bands.pool.Endpoints == 0 {
		return
	}
	queued := c.queues.set
	all, outOfUse := c.share(now, c.bands.highest()), c.loads.outOfUse()
	c.guarantees.pass(now, all)
	for b, due, ok := c.guarantees.next(); ok; b, due, ok = c.guarantees.next() {
		limit := all
		path := ""
		if due == nil {
			limit = c.share(now, b.Capacity().Ceiling)
		} else {
			path = due.group
		}
		if int64(len(c.requests.inFlight))-outOfUse >= limit {
			return
		}
		var endpoint string
		if c.loads.bounded {
			if endpoint = c.loads.least(func(e string) bool { return c.mayHave(now, e) }); endpoint == "" {
				return
			}
		}
		t, charge := b.Best(path)
		full := c.maxima.fullHere(t.Flow, c.even)
		r := c.requests.waiting[t.ID]
		switch {
		case r == nil: // another replica's, which does the same
			c.queues.takeOut(t.ID, now)
		case !c.limits.openHere(t.Flow.ID, c.bands.members()):
			c.limits.room(now, t.Flow.ID, 0, 0)
		case full != "":
			queued.CloseGroup(full, true)
		default:
			r.policy, r.group, r.charge, r.own = b.Policy(), c.cfg.Shard.GroupOf(t.Flow), charge, true
			r.counter = queued.VirtualTime(t.Flow.Priority, r.group)
			r.service = c.service(r, charge)
			if charge != 0 || r.service != 0 {
				queued.ChargedInOutage(t.Flow, charge, r.service)
				c.ownCharges.add(now, r)
			}
			c.exchange.dispatchedAlone()
			c.guarantees.granted(b, r.group)
			c.handover.dispatched(now, r, false)
			load := c.loads.load(endpoint)
			c.loads.arrive(r, endpoint)
			d := c.dispatch(now, r)
			d.Endpoint, d.EndpointInFlight, d.Preferred = endpoint, load, r.prefers(endpoint)
		}
		queued.Refill()
	}
}

// share is this replica's part of a limit, less what is in flight of replicas that take no
// share: an even one. It is nothing as long as the others may not know that this replica
// held a lease. Beside replicas of another version, which have the ledger, it is no more
// than what they leave by now: they end what they have in flight above their part.
func (c *Core) share(now time.Time, limit int64) int64 {
	if !c.handover.fleet.acknowledged(now, c.cfg.Timings.HolderKnownAfter) {
		return 0
	}
	share := c.shareOf(now, limit)
	if others := c.exchange.others; others != nil {
		if others.Held < 0 {
			return 0
		}
		_, lost := c.handover.fleet.holders()
		share = min(share, max(0, limit-others.Held)/int64(lost+1))
	}
	return share
}

func (c *Core) shareOf(now time.Time, limit int64) int64 {
	elsewhere := c.bands.heldElsewhere(now)
	if c.loads.bounded && elsewhere == 0 && limit >= c.bands.limit() { // what is left of each endpoint adds up
		sum := int64(0)
		for endpoint, capacity := range c.loads.listed {
			sum += c.shareAt(now, endpoint, capacity)
		}
		return sum
	}
	return c.even(max(0, limit-elsewhere))
}

// even is this replica's part of a number that is shared in equal parts; where it does not
// divide, the first replicas by their ids get one more.
func (c *Core) even(limit int64) int64 {
	sharing, before := c.handover.fleet.sharing()
	members := int64(max(c.bands.members(), sharing)) // who started during the outage was never told
	share := limit / members
	if int64(sharing) == members && int64(before) < limit%members {
		share++
	}
	return share
}

// shareAt is this replica's part of what an endpoint takes. Where that does not divide, the
// first replicas get one more, counted from another one for each endpoint.
func (c *Core) shareAt(now time.Time, endpoint string, capacity int64) int64 {
	if !c.handover.fleet.acknowledged(now, c.cfg.Timings.HolderKnownAfter) {
		return 0
	}
	sharing, before := c.handover.fleet.sharing()
	members := int64(max(c.bands.members(), sharing))
	h := fnv.New32a()
	_, _ = h.Write([]byte(endpoint)) // it cannot fail
	share := capacity / members
	if int64(sharing) == members && (int64(before)+int64(h.Sum32()))%members < capacity%members {
		share++
	}
	return share
}
