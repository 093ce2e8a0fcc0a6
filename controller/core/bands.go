package core

import (
	"context"
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
	// Stale is how many of them count as full because their readings are too old.
	Stale int
}

// Totals is what the ledger last told of the fleet.
type Totals struct {
	InFlight, Queued, QueuedBytes int64
	Members                       int
}

// bands is the pool and what may be in flight in it: in all, and for each priority.
type bands struct {
	bystander
	cfg    *Config
	agenda *agenda
	clock  *clock
	queues *queues
	// fleet returns how many replicas live, and how many of them have the ledger.
	fleet func() (live, connected int)

	pool   Pool
	totals Totals
	all    []*band // highest priority first
}

// band is one priority.
type band struct {
	priority int
	policy   string
	counts   bool // its flows go by their counters
	account  policies.Account
	ceiling  int64 // how many requests may be in flight in the fleet for it to go on
	limit    int64 // the same, less what is left to replicas without the ledger
	inFlight int64 // of requests whose connections are here
	v        float64
}

// newBand returns a band under a policy. The policy's unit is part of its name in
// the ledger, so that counters of different units are never compared.
func newBand(priority int, fairness policies.FairnessPolicy) *band {
	kind, _ := policies.KindOf(fairness)
	b := &band{
		priority: priority, policy: fairness.TypedName().String(),
		counts: kind == policies.Counting, account: policies.AccountOf(fairness),
	}
	if b.account.Unit != "" {
		b.policy += " in " + b.account.Unit
	}
	return b
}

// of returns the band of a priority, made on demand.
func (bs *bands) of(now time.Time, priority int) *band {
	i, found := slices.BinarySearchFunc(bs.all, priority, func(b *band, p int) int { return p - b.priority })
	if !found {
		bs.all = slices.Insert(bs.all, i, newBand(priority, bs.cfg.Shard.Band(priority).Fairness))
		bs.relimit(now)
	}
	return bs.all[i]
}

// collect forgets priorities that nothing waits or runs at.
func (bs *bands) collect() {
	bs.all = slices.DeleteFunc(bs.all, func(b *band) bool {
		queued, _ := bs.queues.set.Queued(b.priority)
		return b.inFlight == 0 && queued == 0 && !bs.queues.set.Knows(b.priority)
	})
}

// reconfigure takes over the configuration's policies. Virtual time stays where the
// policy does.
func (bs *bands) reconfigure(now time.Time) {
	for _, b := range bs.all {
		as := newBand(b.priority, bs.cfg.Shard.Band(b.priority).Fairness)
		if as.policy != b.policy {
			b.v = 0
		}
		b.policy, b.counts, b.account = as.policy, as.counts, as.account
	}
	bs.relimit(now)
}

// full reports whether the pool was full when the ledger last told.
func (bs *bands) full() bool { return bs.totals.InFlight >= bs.pool.Limit }

// members is how many replicas the ledger last counted.
func (bs *bands) members() int { return max(1, bs.totals.Members) }

// saturation is how full the pool is: as the ledger counts where the limit is
// known, and as the detector last said otherwise.
func (bs *bands) saturation() float64 {
	if bs.pool.Limit <= 0 || bs.pool.Limit >= store.Unlimited {
		return bs.pool.Saturation
	}
	return float64(bs.totals.InFlight) / float64(bs.pool.Limit)
}

// relimit works out the bands' limits. Replicas that lost the ledger dispatch
// within their shares, so those who have it leave them theirs.
func (bs *bands) relimit(now time.Time) (changed bool) {
	live, connected := bs.fleet()
	priorities := make([]int, len(bs.all))
	for i, b := range bs.all {
		priorities[i] = b.priority
	}
	ceilings := bs.cfg.UsageLimit.Ceilings(context.Background(), bs.clock.at(now), bs.saturation(), priorities)
	for i, b := range bs.all {
		switch {
		case bs.pool.Endpoints == 0:
			b.ceiling = store.NoOpinion
		case bs.pool.Limit >= store.Unlimited:
			b.ceiling = store.Unlimited
		default:
			b.ceiling = int64(float64(bs.pool.Limit)*ceilings[i] + 1e-9)
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

// The bands are a participant.

func (bs *bands) state(_ time.Time, s *store.Statement) {
	for _, b := range bs.all {
		queued, bytes := bs.queues.set.Queued(b.priority)
		s.Bands = append(s.Bands, store.Band{
			Priority: b.priority, Policy: b.policy,
			CountsService: b.counts, LiftsIdle: b.account.LiftsIdle, HalfLife: b.account.HalfLife,
			Limit: b.limit, InFlight: b.inFlight, Queued: queued, QueuedBytes: bytes, VirtualTime: b.v,
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
		b := bs.of(now, total.Priority)
		b.v = max(b.v, total.VirtualTime)
		mine += stated.Queued
		mineBytes += stated.QueuedBytes
		bs.queues.set.Tell(total.Priority, total.VirtualTime, total.Queued-stated.Queued, total.QueuedBytes-stated.QueuedBytes)
	}
	bs.queues.set.TellOthers(r.Queued-mine, r.QueuedBytes-mineBytes)
	bs.totals = Totals{InFlight: r.InFlight, Queued: r.Queued, QueuedBytes: r.QueuedBytes, Members: r.Members}
	if (policies.FollowsSaturation(bs.cfg.UsageLimit) || members != r.Members) && bs.relimit(now) {
		bs.agenda.due = true
	}
}

// view is the bands as an operator sees them.
func (bs *bands) view() (views []BandView) {
	for _, b := range bs.all {
		queued, bytes := bs.queues.set.Queued(b.priority)
		views = append(views, BandView{
			Priority: b.priority, Policy: b.policy, Limit: b.limit, InFlight: b.inFlight,
			Queued: queued, QueuedBytes: bytes, VirtualTime: b.v, Fill: bs.queues.set.Fill(b.priority),
		})
	}
	return views
}

// BandView is one priority.
type BandView struct {
	Priority int
	Policy   string
	// Limit is how many requests may be in flight for the band to dispatch.
	Limit int64
	// InFlight, Queued and QueuedBytes are this replica's.
	InFlight, Queued, QueuedBytes int64
	VirtualTime                   float64
	// Fill is how full the band's buffer is, over the fleet.
	Fill shard.Fill
}
