package controller

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// limiter turns what a saturation detector says into a limit on requests in
// flight. A pool that is s full with n in flight takes n/s: for a detector of
// queue depth or cache use that is a proportional controller, which replicas
// can share without herding, since the grants since the last observation count
// already. One observation adds at most eight requests or a quarter to those in
// flight, and never more than as many again, so that a single low reading lets no
// flood in, however long the pool had been idle.
//
// Where endpoints read prompts or make answers alone, the pool is as full as the fuller of
// the two stages, and its slots are at the endpoints that make answers.
type limiter struct {
	detector policies.SaturationDetector // nil: no limit
	limit    int64
}

func newLimiter(d policies.SaturationDetector) limiter { return limiter{detector: d} }

// observe returns the pool as it is, with so many requests of the fleet in flight.
func (l *limiter) observe(ctx context.Context, now time.Time, endpoints []policies.EndpointAccessor, n int64) core.Pool {
	pool := core.Pool{Endpoints: len(endpoints), Limit: store.Unlimited}
	if l.detector == nil {
		return pool
	}
	holding := endpoints // requests in flight
	if s, apart := stagesOf(endpoints); apart {
		holding = s.decode
		pool.Stages = core.Stages{Apart: true, Decode: l.saturation(ctx, now, policies.Decode, s.decode)}
		if len(s.prefill) > 0 { // else the others read prompts
			pool.Stages.Prefill = l.saturation(ctx, now, policies.Prefill, s.prefill)
		}
		pool.Saturation = max(pool.Stages.Prefill, pool.Stages.Decode)
	} else {
		pool.Saturation = plausible(l.detector.Saturation(ctx, now, endpoints))
	}
	if counter, ok := l.detector.(policies.StaleCounter); ok {
		pool.Stale = counter.Stale(now, endpoints)
	}
	if known, ok := l.detector.(policies.InFlightLimiter); ok {
		pool.Limit = max(0, int64(known.InFlightLimit(holding)))
		return pool
	}
	s := pool.Saturation
	switch {
	case n == 0 && s < 1: // tells nothing about how many the pool takes
		l.limit = max(l.limit, int64(len(holding)))
	case s < 1:
		most := max(n+max(min(n, 8), n/4), int64(len(holding)))
		if l.limit = most; s > 0 {
			l.limit = max(int64(min(float64(n)/s, float64(most))), int64(len(holding)))
		}
	default:
		l.limit = int64(float64(n) / s)
	}
	pool.Limit = l.limit
	return pool
}

// saturation is how full the endpoints of a stage are.
func (l *limiter) saturation(ctx context.Context, now time.Time, stage policies.Stage, endpoints []policies.EndpointAccessor) float64 {
	if d, apart := l.detector.(policies.StageDetector); apart {
		return plausible(d.StageSaturation(ctx, now, stage, endpoints))
	}
	return plausible(l.detector.Saturation(ctx, now, endpoints))
}

// bounds returns the endpoints that have addresses. If the detector says what each takes, and
// all have addresses, it returns those that requests have their slots at, with that. More
// than a ledger counts is no limit, of any: the pool's would not be their sum.
func (l *limiter) bounds(endpoints []policies.EndpointAccessor) []core.Endpoint {
	limiter, bounds := l.detector.(policies.EndpointLimiter)
	if s, apart := stagesOf(endpoints); apart && bounds {
		endpoints = s.decode
	}
	bounded := make([]core.Endpoint, 0, len(endpoints))
	for _, e := range endpoints {
		if a := e.Address(); a != "" {
			bounded = append(bounded, core.Endpoint{Address: a})
		}
	}
	if bounds && len(bounded) == len(endpoints) {
		for i, e := range endpoints {
			bounded[i].Capacity = int64(max(1, limiter.EndpointLimit(e)))
		}
		if slices.ContainsFunc(bounded, func(e core.Endpoint) bool { return e.Capacity > store.MaxCapacity }) {
			for i := range bounded {
				bounded[i].Capacity = 0
			}
		}
	}
	return bounded
}

// plausible is a detector's answer as a finite number that is not negative. One that is
// not a number counts as full: other replicas are not to suffer from it.
func plausible(saturation float64) float64 {
	if math.IsNaN(saturation) {
		return 1
	}
	return max(0, min(saturation, math.MaxFloat64))
}

// fixed is the detector of a pool that takes so many requests in flight, whatever its
// endpoints are.
type fixed int

// TypedName implements policies.Plugin.
func (fixed) TypedName() policies.TypedName {
	return policies.TypedName{Type: "fixed-limit", Name: "fixed-limit"}
}

// InFlightLimit implements policies.InFlightLimiter.
func (n fixed) InFlightLimit([]policies.EndpointAccessor) int { return int(n) }

// Saturation implements policies.SaturationDetector.
func (n fixed) Saturation(_ context.Context, _ time.Time, endpoints []policies.EndpointAccessor) float64 {
	inFlight := 0
	for _, e := range endpoints {
		inFlight += e.InFlight()
	}
	return float64(inFlight) / float64(n)
}

// open tells the core of a pool that takes so many requests.
func (n fixed) open(now time.Time, k *core.Core) {
	k.SetPool(now, core.Pool{Endpoints: 1, Limit: int64(n)})
}
