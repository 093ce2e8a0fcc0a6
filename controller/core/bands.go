package core

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
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
	// Stages are how full they are by stage, where some serve one stage alone.
	Stages Stages
	// Stale is how many of them count as full because their readings are too old.
	Stale int
}

// Stages is how full the stages of a pool are, 1 being full. The fullest is the pool's
// saturation.
type Stages struct {
	// Apart is set if endpoints serve stages apart; nothing else is then.
	Apart           bool
	Prefill, Decode float64
}

// Totals is what the ledger last told of the fleet.
type Totals struct {
	InFlight, Queued, QueuedBytes int64
	// OutOfUse are those in flight at endpoints that no replica sends requests to any more;
	// the pool's limit has nothing of these.
	OutOfUse int64
	Members  int
}

// occupied is how many of the slots of the pool's limit are taken.
func (t *Totals) occupied() int64 { return max(0, t.InFlight-t.OutOfUse) }

// bands is the pool and what may be in flight in it: in all, and for each priority. The
// bands themselves are the queues'.
type bands struct {
	bystander
	cfg      *Config
	agenda   *agenda
	clock    *clock
	queues   *queues
	requests *requests
	// fleet returns how many replicas live, and how many of them have the ledger.
	fleet func() (live, connected int)
	// left returns what of a limit those have who have the ledger.
	left func(limit int64) int64
	// shares reports whether another replica may go on without the ledger.
	shares func(id string) bool

	pool   Pool
	totals Totals
	// bounded reports whether the limit is the sum of what endpoints take. capacity is that
	// sum over the fleet, as the ledger last told; 0 for not known.
	bounded  func() bool
	capacity int64

	lostToLedger []store.Lost // as the ledger last told
	lostAt       time.Time    // when that was
	recovering   bool         // not all had registered then
}

// of returns the band of a priority, made on demand.
func (bs *bands) of(now time.Time, priority int) shard.Band {
	b, made := bs.queues.set.Band(priority)
	if made {
		bs.relimit(now)
	}
	return b
}

// limit is how many requests the pool takes: what its endpoints do, also those that only
// other replicas reach, or what was said of it otherwise.
func (bs *bands) limit() int64 {
	if bs.capacity > 0 && bs.bounded() {
		return bs.capacity
	}
	return bs.pool.Limit
}

// full reports whether the pool was full when the ledger last told.
func (bs *bands) full() bool { return bs.totals.occupied() >= bs.limit() }

// members is how many replicas the ledger last counted.
func (bs *bands) members() int { return max(1, bs.totals.Members) }

// saturation is how full the pool is: as the ledger counts where the limit is
// known, and as the detector last said otherwise.
func (bs *bands) saturation() float64 {
	limit := bs.limit()
	if limit <= 0 || limit >= store.Unlimited {
		return bs.pool.Saturation
	}
	return float64(bs.totals.occupied()) / float64(limit)
}

// relimit works out the bands' limits. Replicas that lost the ledger dispatch
// within their shares, so those who have it leave them theirs, as far as the ledger does
// not count it for them.
func (bs *bands) relimit(now time.Time) (changed bool) {
	live, _ := bs.fleet()
	var priorities []int
	for b := range bs.queues.set.Bands() {
		priorities = append(priorities, b.Priority())
	}
	ceilings := bs.cfg.UsageLimit.Ceilings(context.Background(), bs.clock.at(now), bs.saturation(), priorities)
	i := 0
	for b := range bs.queues.set.Bands() {
		limit, before := b.Capacity(), b.Capacity().Limit
		part := 1.0 // of a band that the policy says nothing about
		if i < len(ceilings) {
			part = ceilings[i]
		}
		limit.Ceiling = bs.ceiling(part)
		limit.Limit = bs.left(limit.Ceiling)
		if limit.Limit < limit.Ceiling {
			limit.Limit += bs.counted(limit.Ceiling / int64(live))
		}
		changed = changed || limit.Limit != before
		i++
	}
	return changed
}

// counted is how much of the shares that others are left the ledger counts for them, since
// they are lost to it. What counts no more within a lease is not relied on: by then all
// state their limits without it.
func (bs *bands) counted(share int64) (sum int64) {
	for _, l := range bs.lostToLedger {
		if l.For > bs.cfg.Timings.Lease && bs.shares(l.Replica) {
			sum += min(l.Held, share)
		}
	}
	return sum
}

// lostForLong are the replicas that are lost to the ledger, without those that it waits
// for.
func (bs *bands) lostForLong() []store.Lost {
	if bs.recovering {
		return nil
	}
	return bs.lostToLedger
}

// heldElsewhere is what the ledger last counted for replicas that are lost to it and take
// no share in an outage.
func (bs *bands) heldElsewhere(now time.Time) (sum int64) {
	for _, l := range bs.lostToLedger {
		if now.Sub(bs.lostAt) < l.For && !bs.shares(l.Replica) {
			sum += l.Held
		}
	}
	return sum
}

// highest is the highest of the bands' ceilings.
func (bs *bands) highest() (highest int64) {
	for b := range bs.queues.set.Bands() {
		highest = max(highest, b.Capacity().Ceiling)
	}
	return highest
}

// ceiling is how many requests may be in flight where that part of the pool may be used:
// from 0 to [store.Unlimited], or [store.NoOpinion], whatever the policy answered.
func (bs *bands) ceiling(part float64) int64 {
	switch {
	case bs.pool.Endpoints == 0, bs.bounded() && bs.pool.Limit == 0: // none, or none with slots
		return store.NoOpinion
	case bs.limit() >= store.Unlimited:
		return store.Unlimited
	default:
		limit := float64(bs.limit())*part + 1e-9
		if math.IsNaN(limit) {
			return 0 // nothing is known of how many
		}
		return int64(max(0, min(limit, store.Unlimited)))
	}
}

// weight is what a priority gets beside others; 0 for one that goes by its priority.
func (bs *bands) weight(priority int) float64 {
	if bs.cfg.BandWeight == nil {
		return 0
	}
	return bs.cfg.BandWeight(priority)
}

// The bands are a participant.

func (bs *bands) state(_ time.Time, s *store.Statement) {
	if bs.bounded() && bs.pool.Endpoints > 0 {
		s.Capacity = min(bs.limit(), store.Unlimited)
	}
	for b := range bs.queues.set.Bands() {
		queued, bytes := b.Queued()
		s.Bands = append(s.Bands, store.Band{
			Priority: b.Priority(), Policy: b.Policy(), Weight: bs.weight(b.Priority()),
			CountsService: b.Counts(), LiftsIdle: b.Account().LiftsIdle, HalfLife: b.Account().HalfLife,
			Limit: b.Capacity().Limit, InFlight: b.Capacity().InFlight, Queued: queued, QueuedBytes: bytes, Wanted: b.Capacity().InFlight + bs.requests.byBand.band(b.Priority()).requests, VirtualTime: b.VirtualTime(), Level: b.Level(),
		})
	}
}

// learn takes over what the ledger tells of the fleet.
func (bs *bands) learn(now time.Time, s *store.Statement, r *store.Reply) {
	members := bs.totals.Members
	var mine, mineBytes int64
	for i := range r.Bands {
		total := &r.Bands[i]
		at := slices.IndexFunc(s.Bands, func(b store.Band) bool { return b.Priority == total.Priority })
		if at < 0 {
			continue // it was not asked
		}
		stated := &s.Bands[at]
		mine += stated.Queued
		mineBytes += stated.QueuedBytes
		bs.queues.set.Learn(total.Priority, total.VirtualTime, total.Level, total.Queued-stated.Queued, total.QueuedBytes-stated.QueuedBytes)
	}
	bs.queues.set.LearnOthers(r.Queued-mine, r.QueuedBytes-mineBytes)
	bs.totals = Totals{InFlight: r.InFlight, OutOfUse: r.OutOfUse, Queued: r.Queued, QueuedBytes: r.QueuedBytes, Members: r.Members}
	if r.Recovering { // the others are there, and have not registered yet
		bs.totals.Members = max(members, r.Members)
	}
	known := r.Capacity == bs.capacity || r.Capacity == 0
	if !known {
		bs.capacity = r.Capacity
	}
	lost := len(bs.lostToLedger) + len(r.Lost)
	bs.lostToLedger, bs.lostAt, bs.recovering = append(bs.lostToLedger[:0], r.Lost...), now, r.Recovering
	if (policies.FollowsSaturation(bs.cfg.UsageLimit) || members != bs.totals.Members || lost > 0 || !known) && bs.relimit(now) {
		bs.agenda.due = true
	}
}

// view is the bands as an operator sees them.
func (bs *bands) view() (views []BandView) {
	for b := range bs.queues.set.Bands() {
		queued, bytes := b.Queued()
		views = append(views, BandView{
			Priority: b.Priority(), Policy: b.Policy(), Weight: bs.weight(b.Priority()), Ceiling: b.Capacity().Ceiling, Limit: b.Capacity().Limit, InFlight: b.Capacity().InFlight,
			Queued: queued, QueuedBytes: bytes, VirtualTime: b.VirtualTime(), Fill: b.Fill(),
		})
	}
	return views
}

// BandView is one priority.
type BandView struct {
	Priority int
	Policy   string
	// Weight is what the band gets beside others by weights; 0 where it goes by its priority.
	Weight float64
	// Ceiling is how many requests may be in flight in the fleet for the band to go on, and
	// Limit the same less what is left to replicas without the ledger.
	Ceiling, Limit int64
	// InFlight, Queued and QueuedBytes are this replica's.
	InFlight, Queued, QueuedBytes int64
	VirtualTime                   float64
	// Share is the account of what the band is guaranteed, over the fleet, as the ledger
	// last told; zero where nothing is.
	Share store.Guarantee
	// Fill is how full the band's buffer is, over the fleet.
	Fill shard.Fill
}
