package usagelimit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirflow/weir/policies"
)

// StaticType is the type name of [Static].
const StaticType = "static-usage-limit-policy"

// Static gives every band the same ceiling, the whole pool by default.
type Static struct {
	policies.Named
	threshold float64
}

// NewStatic returns the policy under the name: every band may use the threshold's
// share of the pool's limit. A threshold out of range is ErrParameters.
func NewStatic(name string, threshold float64) (*Static, error) {
	if !(threshold > 0 && threshold <= 10) {
		return nil, fmt.Errorf("%w: threshold is %v, it must be above 0 and at most 10", policies.ErrParameters, threshold)
	}
	return &Static{policies.NewNamed(StaticType, name), threshold}, nil
}

// StaticFactory is the factory of [StaticType]; its parameter is threshold, the
// ceiling of every band as a share of the pool's limit, 1.0 by default.
func StaticFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	params := struct {
		Threshold float64 `json:"threshold"`
	}{Threshold: 1}
	if err := policies.DecodeParameters(parameters, &params); err != nil {
		return nil, err
	}
	p, err := NewStatic(name, params.Threshold)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Ceilings implements [policies.UsageLimitPolicy].
func (p *Static) Ceilings(_ context.Context, _ time.Time, _ float64, priorities []int) []float64 {
	ceilings := make([]float64, len(priorities))
	for i := range ceilings {
		ceilings[i] = p.threshold
	}
	return ceilings
}
