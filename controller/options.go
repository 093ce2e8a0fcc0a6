package controller

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/policies/usagelimit"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// Option configures a controller.
type Option func(*options)

type options struct {
	replica                   string
	incarnation               uint64
	fleet                     coordinator.Fleet
	logger                    *zap.Logger
	observer                  Observer
	detector                  policies.SaturationDetector
	usageLimit                policies.UsageLimitPolicy
	bandWeight                func(priority int) float64
	eviction                  *core.Eviction
	guaranteed                func(int) float64
	ttl, noEndpointTTL        time.Duration
	countTokens               bool
	lease, waitingTurn        time.Duration
	turnTimeout, outageAfter  time.Duration
	onStoreOutage             core.StoreOutage
	shard                     shard.Config
	defaultBand, negativeBand shard.BandConfig
	bands                     map[int]shard.BandConfig
	readClock                 func() (steady, wall time.Time) // in tests
}

// WithReplica names this replica; "weir" by default. The name must be unique
// among the replicas of a ledger.
func WithReplica(id string) Option { return func(o *options) { o.replica = id } }

// WithIncarnation sets the number that tells this run of the replica from earlier
// ones, and must only grow; the time of the start in nanoseconds by default.
func WithIncarnation(n uint64) Option { return func(o *options) { o.incarnation = n } }

// WithFleet connects the replica to others: each flow then has one queue in the
// whole fleet, at its shard's owner. Without it every replica queues what comes in
// by it. The controller starts the fleet and leaves it.
func WithFleet(f coordinator.Fleet) Option { return func(o *options) { o.fleet = f } }

// WithLogger sets where changes of state are logged; nowhere by default.
func WithLogger(l *zap.Logger) Option { return func(o *options) { o.logger = l } }

// WithObserver sets the observer of decisions and turns; none by default, which costs
// nothing.
func WithObserver(obs Observer) Option { return func(o *options) { o.observer = obs } }

// WithSaturationDetector sets what says how full the pool is. Without one the
// pool has no limit.
func WithSaturationDetector(d policies.SaturationDetector) Option {
	return func(o *options) { o.detector = d }
}

// WithLimit lets n requests be in flight at the pool, over the fleet. It stands for a
// detector, and for endpoints: the pool takes requests at once, and Observe need not be
// called.
func WithLimit(n int) Option { return func(o *options) { o.detector = fixed(n) } }

// WithUsageLimit sets how full the pool may get for each band; the whole pool
// for all by default.
func WithUsageLimit(p policies.UsageLimitPolicy) Option { return func(o *options) { o.usageLimit = p } }

// WithGuarantees sets what priorities are guaranteed of the pool's slots while their
// requests wait, from 0 to 1, together at most 1; nothing by default.
func WithGuarantees(of func(priority int) float64) Option {
	return func(o *options) { o.guaranteed = of }
}

// WithBandPolicy sets how priorities share the pool beyond what they are guaranteed, and the
// weight that each has; nil stands for 1. Higher ones go before lower ones by default.
func WithBandPolicy(p policies.BandPolicy, weight func(priority int) float64) Option {
	return func(o *options) {
		o.bandWeight = func(priority int) float64 {
			configured := 1.0
			if weight != nil {
				configured = weight(priority)
			}
			return policies.BandWeight(p, priority, configured)
		}
	}
}

// WithGroups sets the groups that a flow is in, by its id, the outermost first: groups share
// a band by their weights, and the flows of one what it gets, by the band's policy. Nil, the
// default, is for none. Where there are groups, every flow must be in one.
func WithGroups(of func(id string) []shard.Group) Option {
	return func(o *options) { o.shard.Groups = of }
}

// WithMaxima sets what groups may have in flight at most, by their paths, over the fleet and
// all priorities; nothing is by default.
func WithMaxima(of map[string]shard.Maximum) Option {
	return func(o *options) { o.shard.Maxima = of }
}

// WithGroupGuarantees sets what groups are guaranteed of the pool's slots while something in
// them waits, by their paths, from 0 to 1: with what priorities are guaranteed, and with those
// in each other counted once, together at most 1; nothing is by default.
func WithGroupGuarantees(of map[string]float64) Option {
	return func(o *options) { o.shard.Guaranteed = of }
}

// WithEviction lets requests in flight be revoked for a higher band that waits at a
// full pool: those that the filter lets, in the given order, the fewest that make
// room. Nothing is revoked by default. Whoever made the request hears of it by
// Request.Revoked.
func WithEviction(f policies.EvictionFilter, order policies.EvictionOrder) Option {
	return func(o *options) { o.eviction = &core.Eviction{Filter: f, Order: order} }
}

// WithoutEviction lets nothing be revoked, which is the default.
func WithoutEviction() Option { return func(o *options) { o.eviction = nil } }

// WithTokenCounts has tokens in flight counted for each endpoint over the fleet, also where
// the detector does not ask for it.
func WithTokenCounts(count bool) Option { return func(o *options) { o.countTokens = count } }

// WithTTL sets how long a request may wait while the pool has endpoints, where its
// band says nothing of its own, and while it has none; 60 s each by default, 0 for no limit. A negative second value
// rejects at once.
func WithTTL(ttl, noEndpoint time.Duration) Option {
	return func(o *options) { o.ttl, o.noEndpointTTL = ttl, noEndpoint }
}

// WithLease tells the ledger's lease, 3 s by default; a third of it is the
// longest time between two turns.
func WithLease(d time.Duration) Option { return func(o *options) { o.lease = d } }

// WithTurnTimeout sets how long one turn may take, 500 ms by default, and two fifths of the lease
// at most: a later reply is not believed.
func WithTurnTimeout(d time.Duration) Option { return func(o *options) { o.turnTimeout = d } }

// WithStoreOutage sets what is done once turns have failed for the given time:
// by default, after 500 ms, go on within this replica's share of the limit.
func WithStoreOutage(s core.StoreOutage, after time.Duration) Option {
	return func(o *options) { o.onStoreOutage, o.outageAfter = s, after }
}

// WithCapacity caps what waits in all bands together, over the fleet; 0 means
// no cap, which is the default.
func WithCapacity(requests, bytes int64) Option {
	return func(o *options) { o.shard.MaxRequests, o.shard.MaxBytes = requests, bytes }
}

// WithDefaultBand configures every band that WithBand does not; unset fields
// keep their defaults: 5000 requests, 1 GB, global strict, first come first
// served.
func WithDefaultBand(b shard.BandConfig) Option { return func(o *options) { o.defaultBand = b } }

// WithNegativeBand configures the bands below zero that WithBand does not.
func WithNegativeBand(b shard.BandConfig) Option { return func(o *options) { o.negativeBand = b } }

// WithBand configures one priority's band.
func WithBand(priority int, b shard.BandConfig) Option {
	return func(o *options) { o.bands[priority] = b }
}

// WithWeights sets the flows' shares, above zero; 1 for all by default.
func WithWeights(weight func(policies.FlowKey) float64) Option {
	return func(o *options) { o.shard.Weight = weight }
}

// WithLimits sets limits of flows' own, by their ids: over the fleet, and over all their
// priorities together; none by default.
func WithLimits(limit func(id string) shard.Limit) Option {
	return func(o *options) { o.shard.Limit = limit }
}

// WithOffers sets how many tickets of a band are put before the ledger at most, and twice as
// many beside a far one; 64 by default.
func WithOffers(perBand int) Option { return func(o *options) { o.shard.OffersPerBand = perBand } }

// WithFlowIdle sets how long an empty flow is remembered; 5 minutes by default.
func WithFlowIdle(d time.Duration) Option { return func(o *options) { o.shard.Idle = d } }

func newOptions(opts []Option) (options, error) {
	static, err := usagelimit.NewStatic(usagelimit.StaticType, 1)
	if err != nil {
		return options{}, fmt.Errorf("default usage limit: %w", err)
	}
	base := shard.BandConfig{
		MaxRequests: shard.DefaultMaxRequests, MaxBytes: shard.DefaultMaxBytes,
		Fairness: fairness.NewGlobalStrict(fairness.GlobalStrictType), Ordering: ordering.NewFCFS(ordering.FCFSType),
	}
	o := options{
		replica: "weir", incarnation: uint64(time.Now().UnixNano()), logger: zap.NewNop(), usageLimit: static,
		ttl: time.Minute, noEndpointTTL: time.Minute,
		lease: store.DefaultLease, waitingTurn: 25 * time.Millisecond,
		turnTimeout: 500 * time.Millisecond, outageAfter: core.DefaultTimings(store.DefaultLease).OutageAfter,
		shard:     shard.Config{Shards: shard.Count, OffersPerBand: 64, Idle: 5 * time.Minute},
		bands:     make(map[int]shard.BandConfig),
		readClock: readClock,
	}
	for _, opt := range opts {
		opt(&o)
	}
	o.defaultBand = fill(o.defaultBand, base)
	o.negativeBand = fill(o.negativeBand, o.defaultBand)
	for p, b := range o.bands {
		o.bands[p] = fill(b, base)
	}
	o.shard.Band = o.band
	for _, b := range append(slices.Collect(maps.Values(o.bands)), o.defaultBand, o.negativeBand) {
		if err := b.Validate(); err != nil {
			return o, fmt.Errorf("new controller: %w", err)
		}
	}
	n, isFixed := o.detector.(fixed)
	switch {
	case isFixed && n < 1:
		return o, fmt.Errorf("new controller: a limit of %d lets nothing go, at least 1 is needed", n)
	case o.replica == "":
		return o, errors.New("new controller: the replica needs an id")
	case o.shard.OffersPerBand < 1:
		return o, fmt.Errorf("new controller: %d offers per band, at least 1 is needed", o.shard.OffersPerBand)
	case o.lease <= 0 || o.turnTimeout <= 0:
		return o, errors.New("new controller: lease and turn timeout must be above zero")
	}
	o.turnTimeout = min(o.turnTimeout, 2*o.lease/5)
	return o, nil
}

// fill gives a band's unset fields their defaults.
func fill(b, defaults shard.BandConfig) shard.BandConfig {
	if b.MaxRequests <= 0 {
		b.MaxRequests = defaults.MaxRequests
	}
	if b.MaxBytes <= 0 {
		b.MaxBytes = defaults.MaxBytes
	}
	if b.Fairness == nil {
		b.Fairness = defaults.Fairness
	}
	if b.Ordering == nil {
		b.Ordering = defaults.Ordering
	}
	if b.TTL == nil {
		b.TTL = defaults.TTL
	}
	return b
}

// band returns a priority's configuration.
func (o *options) band(priority int) shard.BandConfig {
	if b, ok := o.bands[priority]; ok {
		return b
	}
	if priority < 0 {
		return o.negativeBand
	}
	return o.defaultBand
}

func (o *options) coreConfig(fullPause time.Duration) core.Config {
	t := core.DefaultTimings(o.lease)
	t.WaitingTurn, t.FullPause, t.OutageAfter = o.waitingTurn, fullPause, o.outageAfter
	cfg := core.Config{
		Replica: o.replica, Incarnation: o.incarnation, Seed: o.incarnation,
		Shard: o.shard, UsageLimit: o.usageLimit, Guaranteed: o.guaranteed, BandWeight: o.bandWeight, TTL: o.ttl, NoEndpointTTL: o.noEndpointTTL,
		Timings: t, OnStoreOutage: o.onStoreOutage, Eviction: o.eviction, InFleet: o.fleet != nil,
	}
	cfg.CountTokens = o.countTokens || policies.CountsTokens(o.detector)
	cfg.Shard.Band = o.band
	return cfg
}
