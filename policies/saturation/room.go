package saturation

import (
	"slices"
	"time"

	"github.com/weirflow/weir/policies"
)

// Judge is a detector that says of each endpoint whether it has room, as [Room] needs it.
type Judge interface {
	policies.SaturationDetector
	// HasRoom reports whether an endpoint may get another request, headroom included.
	HasRoom(now time.Time, endpoint policies.EndpointAccessor) bool
}

// Room is a filter of the endpoints that have room as a detector says. Where none has, all are kept: a
// request that it is asked about was granted a place.
type Room struct{ Judge }

// Keep implements [policies.EndpointFilter].
func (r Room) Keep(_ policies.SchedulingRequest, endpoints []policies.EndpointAccessor, keep []bool) {
	now := time.Now()
	for i, e := range endpoints {
		keep[i] = r.HasRoom(now, e)
	}
	if !slices.Contains(keep, true) {
		for i := range keep {
			keep[i] = true
		}
	}
}

// ReadsMetrics implements [policies.MetricsReader].
func (r Room) ReadsMetrics() bool { return policies.ReadsMetrics(r.Judge) }

// CountsTokens implements [policies.TokenCounter].
func (r Room) CountsTokens() bool { return policies.CountsTokens(r.Judge) }

// HasRoom implements [Judge].
func (d *Concurrency) HasRoom(_ time.Time, e policies.EndpointAccessor) bool {
	return e.InFlight() < d.EndpointLimit(e)
}

// HasRoom implements [Judge].
func (d *TokenConcurrency) HasRoom(_ time.Time, e policies.EndpointAccessor) bool {
	return d.full(e) < 1+d.params.Headroom
}

// HasRoom implements [Judge]. An endpoint without a fresh reading has none.
func (d *Utilization) HasRoom(now time.Time, e policies.EndpointAccessor) bool {
	m := e.Metrics()
	return !d.stale(now, m.ReadAt) && d.full(&m) < 1+d.params.Headroom
}
