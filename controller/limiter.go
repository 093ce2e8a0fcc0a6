package controller

import (
	"context"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// limiter turns what a saturation detector says into a limit on requests in
// flight. A pool that is s full with n in flight takes n/s: for a detector of
// queue depth or cache use that is a proportional controller, which replicas
// can share without herding, since the grants since the last observation count
// already. One observation at most doubles the limit, so that a single low
// reading lets no flood in.
type limiter struct {
	detector policies.SaturationDetector // nil: no limit
	limit    int64
}

func newLimiter(d policies.SaturationDetector) limiter { return limiter{detector: d, limit: 1} }

// observe returns the pool as it is with n requests in flight.
func (l *limiter) observe(ctx context.Context, now time.Time, endpoints []policies.EndpointAccessor, n int64) core.Pool {
	pool := core.Pool{Endpoints: len(endpoints), Limit: store.Unlimited}
	if l.detector == nil {
		return pool
	}
	pool.Saturation = l.detector.Saturation(ctx, now, endpoints)
	if known, ok := l.detector.(policies.InFlightLimiter); ok {
		pool.Limit = int64(known.InFlightLimit(endpoints))
		return pool
	}
	most := max(2*l.limit, 1)
	switch {
	case n == 0: // tells nothing about how many the pool takes
		l.limit = max(l.limit, 1)
	case pool.Saturation <= 0:
		l.limit = most
	default:
		l.limit = min(int64(float64(n)/pool.Saturation), most)
	}
	pool.Limit = l.limit
	return pool
}
