package saturation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirflow/weir/policies"
)

// ConcurrencyType is the type name of [Concurrency].
const ConcurrencyType = "concurrency-detector"

// ConcurrencyParameters are what the type takes.
type ConcurrencyParameters struct {
	// MaxConcurrency is the number of requests one endpoint may have in
	// flight. Higher fills its batch better and lengthens its own queue.
	MaxConcurrency int `json:"maxConcurrency"`
	// Headroom is the share above MaxConcurrency that may be used as well, so
	// that an endpoint finds its next request waiting; 0.2 is a fifth more.
	Headroom float64 `json:"headroom"`
}

// Concurrency counts requests in flight against what the endpoints take: the
// pool is full at the sum of MaxConcurrency. It needs no metrics from the
// servers, and it gives the limit outright.
type Concurrency struct {
	name   string
	params ConcurrencyParameters
}

// ConcurrencyFactory is the factory of [ConcurrencyType].
func ConcurrencyFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	params := ConcurrencyParameters{MaxConcurrency: 100}
	if err := policies.DecodeParameters(parameters, &params); err != nil {
		return nil, err
	}
	d, err := NewConcurrency(name, params)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// NewConcurrency returns the detector under the name, or ErrParameters.
func NewConcurrency(name string, params ConcurrencyParameters) (*Concurrency, error) {
	if params.MaxConcurrency < 1 || params.MaxConcurrency > 1_000_000 {
		return nil, fmt.Errorf("%w: maxConcurrency is %d, it must be from 1 to 1000000", policies.ErrParameters, params.MaxConcurrency)
	}
	if !(params.Headroom >= 0 && params.Headroom <= 10) {
		return nil, fmt.Errorf("%w: headroom is %v, it must be from 0 to 10", policies.ErrParameters, params.Headroom)
	}
	return &Concurrency{name: name, params: params}, nil
}

// TypedName implements [policies.Plugin].
func (d *Concurrency) TypedName() policies.TypedName {
	return policies.TypedName{Type: ConcurrencyType, Name: d.name}
}

// InFlightLimit implements [policies.InFlightLimiter].
func (d *Concurrency) InFlightLimit(endpoints []policies.EndpointAccessor) int {
	return int(float64(len(endpoints)*d.params.MaxConcurrency) * (1 + d.params.Headroom))
}

// Saturation implements [policies.SaturationDetector].
func (d *Concurrency) Saturation(_ context.Context, _ time.Time, endpoints []policies.EndpointAccessor) float64 {
	limit := d.InFlightLimit(endpoints)
	if limit == 0 {
		return 1
	}
	inFlight := 0
	for _, e := range endpoints {
		inFlight += e.InFlight()
	}
	return float64(inFlight) / float64(limit)
}
