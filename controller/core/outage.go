package core

import (
	"time"

	"github.com/weirflow/weir/shard"
)

// ownShare is what this replica lets go by itself while the ledger is lost: within its share
// of the limit, which is that over the number of members when the ledger was lost, and in the
// order in which the ledger would.
type ownShare struct {
	cfg        *Config
	exchange   *exchange
	requests   *requests
	queues     *queues
	bands      *bands
	loads      *loads
	limits     *limits
	maxima     *maxima
	guarantees *guarantees
	made       *ownCharges
	handover   *handover
	charges    *charges
	slots      *slots

	dealt dealing // by which groups are at their maxima here
}

// dealing is what this replica's parts go by: the limit, among how many it is shared, how many of these come
// before it, and how many the ledger last counted.
type dealing struct {
	limit                    int64
	sharing, before, members int
}

func newOwnShare(c *Core) ownShare {
	return ownShare{
		cfg: &c.cfg, exchange: &c.exchange, requests: &c.requests, queues: &c.queues, bands: &c.bands, loads: &c.loads,
		limits: &c.limits, maxima: &c.maxima, guarantees: &c.guarantees, made: &c.ownCharges, handover: &c.handover,
		charges: &c.charges, slots: &c.slots,
	}
}

// dispatch lets go what may.
func (o *ownShare) dispatch(now time.Time) {
	if o.cfg.OnStoreOutage == Hold || o.bands.pool.Endpoints == 0 {
		return
	}
	if d := o.dealing(); d != o.dealt { // a part may be more now, and nothing of it may end here
		o.dealt = d
		o.queues.set.ForgetRooms()
		o.maxima.open()
		o.queues.set.Refill()
	}
	queued := o.queues.set
	all, outOfUse := o.of(now, o.bands.highest()), o.loads.outOfUse()
	has := func() int64 { return int64(o.requests.inFlight) - outOfUse }
	o.guarantees.pass(now, all, func(b shard.Band) bool {
		own := o.of(now, b.Capacity().Ceiling)
		return own == all || has() <= own
	})
	fits := func(b shard.Band) bool { return has() < o.of(now, b.Capacity().Ceiling) }
	for b, due, ok := o.guarantees.next(fits); ok; b, due, ok = o.guarantees.next(fits) {
		limit := all
		path := ""
		if due == nil {
			limit = o.of(now, b.Capacity().Ceiling)
		} else {
			path = due.group
		}
		if has() >= limit {
			return
		}
		var endpoint string
		if o.loads.bounded {
			if endpoint = o.loads.least(func(e string) bool { return o.mayHave(now, e) }); endpoint == "" {
				return
			}
		}
		t, charge := b.Best(path)
		full := o.maxima.fullHere(t.Flow, o.even)
		r := o.requests.waits(t.ID)
		switch {
		case r == nil: // another replica's, which does the same
			o.queues.takeOut(t.ID, now)
		case !o.limits.openHere(t.Flow.ID, o.even):
			o.limits.room(now, t.Flow.ID, 0, 0)
		case full != "":
			queued.CloseGroup(full, true)
		default:
			o.charges.byItself(r, b.Policy(), charge)
			r.own, r.alone = true, true
			if charge != 0 || r.service != 0 {
				queued.ChargedInOutage(t.Flow, charge, r.service)
				o.made.add(now, r)
			}
			o.exchange.dispatchedAlone()
			o.guarantees.granted(b, r.group, due != nil, fits)
			o.handover.dispatched(now, r, false)
			o.slots.take(now, r, endpoint, o.loads.load(endpoint))
		}
		queued.Refill()
	}
}

// of is this replica's part of a limit, less what is in flight of replicas that take no
// share: an even one. It is nothing as long as the others may not know that this replica
// held a lease. Beside replicas of another version, which have the ledger, it is no more
// than what they leave by now.
func (o *ownShare) of(now time.Time, limit int64) int64 {
	if !o.acknowledged(now) {
		return 0
	}
	share := o.reachable(now, limit)
	if others := o.exchange.others; others != nil {
		share = min(share, o.handover.fleet.left(limit, others))
	}
	return share
}

// reachable is the part of a limit that this replica's endpoints take.
func (o *ownShare) reachable(now time.Time, limit int64) int64 {
	elsewhere := o.bands.heldElsewhere(now)
	if o.loads.bounded && elsewhere == 0 && limit >= o.bands.limit() { // what is left of each endpoint adds up
		sum := int64(0)
		for endpoint := range o.loads.listed {
			sum += o.at(now, endpoint)
		}
		return min(sum, o.even(limit)) // where endpoints differ, which is what others leave
	}
	return o.even(max(0, limit-elsewhere))
}

func (o *ownShare) dealing() dealing {
	sharing, before := o.handover.fleet.sharing(o.handover.fleet.self)
	return dealing{limit: o.bands.limit(), sharing: sharing, before: before, members: o.bands.members()}
}

// even is this replica's part of a number that is shared in equal parts.
func (o *ownShare) even(limit int64) int64 {
	return o.part(limit, 0)
}

// at is this replica's part of what an endpoint takes. Slots are dealt endpoint by endpoint, so
// that all parts of a replica that reaches all endpoints are its part of the pool.
func (o *ownShare) at(now time.Time, endpoint string) int64 {
	if !o.acknowledged(now) {
		return 0
	}
	return o.part(o.loads.dealt(endpoint))
}

// part is this replica's part of a number, where so many were dealt before.
func (o *ownShare) part(of, dealt int64) int64 {
	fleet := &o.handover.fleet
	return fleet.part(fleet.self, of, o.bands.members(), dealt)
}

// mayHave reports whether an endpoint may have another of this replica's requests.
func (o *ownShare) mayHave(now time.Time, endpoint string) bool {
	capacity, listed := o.loads.listed[endpoint]
	return listed && (capacity == 0 || o.loads.here[endpoint].requests < o.at(now, endpoint))
}

// acknowledged reports whether the others know by now that this replica holds a lease: by
// gossip, or each by the ledger's count in a turn of its own.
func (o *ownShare) acknowledged(now time.Time) bool {
	after := o.cfg.Timings.HolderKnownAfter
	if !o.cfg.InFleet {
		return o.exchange.counted(after)
	}
	return o.handover.fleet.acknowledged(now, after)
}
