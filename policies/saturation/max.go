package saturation

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
	// Stages are, by the names of detectors, the stages that these are asked about where
	// endpoints read prompts or make answers alone: prefill, decode. Others are asked about
	// both. A stage that none is asked about is never full.
	Stages map[string][]policies.Stage `json:"stages"`
}

// Max asks several detectors, and the pool is as full as the one says that finds it fullest.
// Give it them by [Max.Of] before it is used.
type Max struct {
	policies.Named
	params MaxParameters
	of     []policies.SaturationDetector
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
	for _, of := range slices.Sorted(maps.Keys(p.Stages)) {
		stages := p.Stages[of]
		if !slices.Contains(p.Detectors, of) {
			return nil, fmt.Errorf("%w: stages names %q, which is none of detectors", policies.ErrParameters, of)
		}
		if len(stages) == 0 {
			return nil, fmt.Errorf("%w: stages has none of %q, it must have prefill or decode or both", policies.ErrParameters, of)
		}
		for _, stage := range stages {
			if stage != policies.Prefill && stage != policies.Decode {
				return nil, fmt.Errorf("%w: stages has %q of %q, it must be prefill or decode", policies.ErrParameters, stage, of)
			}
		}
	}
	return &Max{Named: policies.NewNamed(MaxType, name), params: p}, nil
}

// Names are the names of the detectors that it asks.
func (d *Max) Names() []string { return d.params.Detectors }

// Stages are the stages that a detector is asked about; nil for all.
func (d *Max) Stages(detector string) []policies.Stage { return d.params.Stages[detector] }

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

// StageSaturation implements [policies.StageDetector].
func (d *Max) StageSaturation(ctx context.Context, now time.Time, stage policies.Stage, endpoints []policies.EndpointAccessor) float64 {
	if len(endpoints) == 0 {
		return 1
	}
	most := 0.0
	for i, detector := range d.of {
		if about := d.Stages(d.Names()[i]); about == nil || slices.Contains(about, stage) {
			most = max(most, detector.Saturation(ctx, now, endpoints))
		}
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
