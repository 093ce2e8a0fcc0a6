package saturation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/weirflow/weir/policies"
)

// MaxType is the type name of [Max].
const MaxType = "max-saturation-detector"

// MaxParameters are what the type takes.
type MaxParameters struct {
	// Detectors are the names of the detectors that are asked; at least one.
	Detectors []string `json:"detectors"`
}

// Max asks several detectors, and the pool is as full as the one says that finds it fullest.
// Give it them by [Max.Of] before it is used.
type Max struct {
	policies.Named
	names []string
	of    []policies.SaturationDetector
}

// MaxFactory is the factory of [MaxType]. What it makes has no detectors yet.
func MaxFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	var p MaxParameters
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	if len(p.Detectors) == 0 {
		return nil, fmt.Errorf("%w: detectors is missing; name those that are asked", policies.ErrParameters)
	}
	for i, d := range p.Detectors {
		if slices.Contains(p.Detectors[:i], d) {
			return nil, fmt.Errorf("%w: detectors names %q twice", policies.ErrParameters, d)
		}
	}
	return &Max{Named: policies.NewNamed(MaxType, name), names: p.Detectors}, nil
}

// Names are the names of the detectors that it asks.
func (d *Max) Names() []string { return d.names }

// Of has it ask the detectors, in the order of its names.
func (d *Max) Of(detectors ...policies.SaturationDetector) { d.of = detectors }

// Saturation implements [policies.SaturationDetector].
func (d *Max) Saturation(ctx context.Context, now time.Time, endpoints []policies.EndpointAccessor) float64 {
	most := 0.0
	for _, detector := range d.of {
		most = max(most, detector.Saturation(ctx, now, endpoints))
	}
	return most
}

// ReadsMetrics implements [policies.MetricsReader].
func (d *Max) ReadsMetrics() bool {
	return slices.ContainsFunc(d.of, func(s policies.SaturationDetector) bool { return policies.ReadsMetrics(s) })
}

// CountsTokens implements [policies.TokenCounter].
func (d *Max) CountsTokens() bool {
	return slices.ContainsFunc(d.of, func(s policies.SaturationDetector) bool { return policies.CountsTokens(s) })
}

// Stale implements [policies.StaleCounter].
func (d *Max) Stale(now time.Time, endpoints []policies.EndpointAccessor) int {
	most := 0
	for _, detector := range d.of {
		if counter, ok := detector.(policies.StaleCounter); ok {
			most = max(most, counter.Stale(now, endpoints))
		}
	}
	return most
}
