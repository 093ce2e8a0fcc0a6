package saturation

import (
	"context"
	"time"

	"github.com/weirflow/weir/policies"
)

// WhereReadableType is the type name of [WhereReadable].
const WhereReadableType = "utilization-where-readable-detector"

// WhereReadable is a utilization detector with its defaults where the endpoints' own
// metrics can be read. While none of them ever could, as with servers that have no such
// metrics, it is a concurrency detector with its defaults instead.
type WhereReadable struct {
	policies.Named
	utilization *Utilization
	concurrency *Concurrency
}

// NewWhereReadable returns the detector under the name.
func NewWhereReadable(name string) *WhereReadable {
	utilization, err := UtilizationFactory(name, nil)
	if err != nil {
		panic(err) // it was given no parameters
	}
	concurrency, err := ConcurrencyFactory(name, nil)
	if err != nil {
		panic(err) // it was given no parameters
	}
	return &WhereReadable{policies.NewNamed(WhereReadableType, name), utilization.(*Utilization), concurrency.(*Concurrency)}
}

// ReadsMetrics implements [policies.MetricsReader].
func (d *WhereReadable) ReadsMetrics() bool { return true }

// WithoutReadings implements [policies.ReadingsReplacer].
func (d *WhereReadable) WithoutReadings(endpoints []policies.EndpointAccessor) bool {
	for _, e := range endpoints {
		if !e.Metrics().ReadAt.IsZero() {
			return false
		}
	}
	return true
}

// Stale implements [policies.StaleCounter].
func (d *WhereReadable) Stale(now time.Time, endpoints []policies.EndpointAccessor) int {
	if d.WithoutReadings(endpoints) {
		return 0
	}
	return d.utilization.Stale(now, endpoints)
}

// Saturation implements [policies.SaturationDetector].
func (d *WhereReadable) Saturation(ctx context.Context, now time.Time, endpoints []policies.EndpointAccessor) float64 {
	if d.WithoutReadings(endpoints) {
		return d.concurrency.Saturation(ctx, now, endpoints)
	}
	return d.utilization.Saturation(ctx, now, endpoints)
}
