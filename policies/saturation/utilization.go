package saturation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirflow/weir/policies"
)

// UtilizationType is the type name of [Utilization].
const UtilizationType = "utilization-detector"

// UtilizationParameters are what the type takes.
type UtilizationParameters struct {
	// QueueDepthThreshold is the number of requests waiting at an endpoint at
	// which it is full; 5. Higher keeps its batch filled through a lull and lets
	// requests wait where no policy orders them.
	QueueDepthThreshold int `json:"queueDepthThreshold"`
	// KVCacheUtilThreshold is the share of its KV cache in use at which it is full;
	// 0.8. Higher risks that it evicts sequences it has begun.
	KVCacheUtilThreshold float64 `json:"kvCacheUtilThreshold"`
	// MetricsStalenessThreshold is the age at which a reading is no longer used and
	// its endpoint counts as full; 200ms.
	MetricsStalenessThreshold policies.Duration `json:"metricsStalenessThreshold"`
	// StalenessPolicy says what an endpoint without a fresh reading counts as: full, which is
	// saturated and the default, or ignore for nothing, beside others that have one.
	StalenessPolicy string `json:"stalenessPolicy"`
	// Headroom is the share above that may be used as well.
	Headroom float64 `json:"headroom"`
	// InFlightLoadProducerName is accepted and has no effect: the ledger counts.
	InFlightLoadProducerName string `json:"inFlightLoadProducerName"`
}

// What an endpoint without a fresh reading counts as.
const (
	StaleSaturated = "saturated"
	StaleIgnored   = "ignore"
)

// Utilization judges by the endpoints' own metrics: the mean over them of
// max(waiting / queueDepthThreshold, KV cache / kvCacheUtilThreshold). Endpoints
// that could not be read count as full, or not at all beside others that could.
//
// By the mean, what this pool sends leaves no one of n endpoints fuller than n for long. One
// that says it is more than twice that is full of others' requests, or mistaken: it counts
// as full, and no more, while another has room, so that it does not stop the others.
type Utilization struct {
	policies.Named
	params UtilizationParameters
}

// UtilizationFactory is the factory of [UtilizationType].
func UtilizationFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	params := UtilizationParameters{
		QueueDepthThreshold: 5, KVCacheUtilThreshold: 0.8, MetricsStalenessThreshold: policies.Duration(200 * time.Millisecond),
		StalenessPolicy: StaleSaturated,
	}
	if err := policies.DecodeParameters(parameters, &params); err != nil {
		return nil, err
	}
	switch {
	case params.QueueDepthThreshold < 1:
		return nil, fmt.Errorf("%w: queueDepthThreshold is %d, it must be at least 1", policies.ErrParameters, params.QueueDepthThreshold)
	case !(params.KVCacheUtilThreshold > 0 && params.KVCacheUtilThreshold <= 1):
		return nil, fmt.Errorf("%w: kvCacheUtilThreshold is %v, it must be above 0 and at most 1", policies.ErrParameters, params.KVCacheUtilThreshold)
	case params.MetricsStalenessThreshold <= 0:
		return nil, fmt.Errorf("%w: metricsStalenessThreshold is %v, it must be above 0", policies.ErrParameters, time.Duration(params.MetricsStalenessThreshold))
	case params.StalenessPolicy != StaleSaturated && params.StalenessPolicy != StaleIgnored:
		return nil, fmt.Errorf("%w: stalenessPolicy is %q, it must be %s or %s", policies.ErrParameters, params.StalenessPolicy, StaleSaturated, StaleIgnored)
	case !(params.Headroom >= 0 && params.Headroom <= 10):
		return nil, fmt.Errorf("%w: headroom is %v, it must be from 0 to 10", policies.ErrParameters, params.Headroom)
	}
	return &Utilization{policies.NewNamed(UtilizationType, name), params}, nil
}

// ReadsMetrics implements [policies.MetricsReader].
func (d *Utilization) ReadsMetrics() bool { return true }

func (d *Utilization) stale(now, readAt time.Time) bool {
	return now.Sub(readAt) > time.Duration(d.params.MetricsStalenessThreshold)
}

// Stale implements [policies.StaleCounter].
func (d *Utilization) Stale(now time.Time, endpoints []policies.EndpointAccessor) int {
	n := 0
	for _, e := range endpoints {
		if d.stale(now, e.Metrics().ReadAt) {
			n++
		}
	}
	return n
}

// Saturation implements [policies.SaturationDetector].
func (d *Utilization) Saturation(_ context.Context, now time.Time, endpoints []policies.EndpointAccessor) float64 {
	if len(endpoints) == 0 {
		return 1
	}
	full := 1 + d.params.Headroom
	n, stale := len(endpoints), d.Stale(now, endpoints)
	var sum, bounded float64
	if d.params.StalenessPolicy == StaleIgnored && stale < n {
		n -= stale
	} else {
		sum = float64(stale) * full
		bounded = sum
	}
	room := false
	for _, e := range endpoints {
		m := e.Metrics()
		if d.stale(now, m.ReadAt) {
			continue
		}
		x := d.full(&m)
		sum += x
		room = room || x < full
		if x > 2*full*float64(n) {
			x = full
		}
		bounded += x
	}
	if room {
		sum = bounded
	}
	return sum / float64(n) / full
}

// full is how full an endpoint is by its reading, headroom aside.
func (d *Utilization) full(m *policies.EndpointMetrics) float64 {
	return max(float64(m.Waiting)/float64(d.params.QueueDepthThreshold), m.KVCacheUsage/d.params.KVCacheUtilThreshold)
}
