package usagelimit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirflow/weir/policies"
)

// HoldbackType is the type name of [Holdback].
const HoldbackType = "priority-holdback-policy"

// HoldbackParameters are what the type takes.
type HoldbackParameters struct {
	// Shape is how ceilings fall from the highest band to the lowest; "linear",
	// the only one.
	Shape string `json:"shape"`
	// Domain is what they fall over: "rank", the bands' order, evenly; or "value",
	// the priorities' numbers.
	Domain string `json:"domain"`
	// MinCeiling is the lowest band's, MaxCeiling the highest's, as shares of the
	// pool's limit. MinCeiling must be given; MaxCeiling is 1.
	MinCeiling *float64 `json:"minCeiling"`
	MaxCeiling float64  `json:"maxCeiling"`
}

// Holdback keeps a part of the pool free of lower bands, so that a request of a
// higher one finds room at once. What is held back is capacity that nobody uses
// while no higher band asks.
type Holdback struct {
	policies.Named
	params HoldbackParameters
}

// HoldbackFactory is the factory of [HoldbackType].
func HoldbackFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	params := HoldbackParameters{Shape: "linear", Domain: "rank", MaxCeiling: 1}
	if err := policies.DecodeParameters(parameters, &params); err != nil {
		return nil, err
	}
	p, err := NewHoldback(name, params)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// NewHoldback returns the policy under the name, or ErrParameters.
func NewHoldback(name string, params HoldbackParameters) (*Holdback, error) {
	switch {
	case params.Shape != "linear":
		return nil, fmt.Errorf("%w: shape is %q, it must be linear", policies.ErrParameters, params.Shape)
	case params.Domain != "rank" && params.Domain != "value":
		return nil, fmt.Errorf("%w: domain is %q, it must be rank or value", policies.ErrParameters, params.Domain)
	case params.MinCeiling == nil:
		return nil, fmt.Errorf("%w: minCeiling is missing; give the lowest band's share of the pool, such as 0.5", policies.ErrParameters)
	case !(*params.MinCeiling >= 0 && *params.MinCeiling < 1):
		return nil, fmt.Errorf("%w: minCeiling is %v, it must be from 0 to below 1", policies.ErrParameters, *params.MinCeiling)
	case !(params.MaxCeiling > 0 && params.MaxCeiling <= 1):
		return nil, fmt.Errorf("%w: maxCeiling is %v, it must be above 0 and at most 1", policies.ErrParameters, params.MaxCeiling)
	case *params.MinCeiling >= params.MaxCeiling:
		return nil, fmt.Errorf("%w: minCeiling %v is not below maxCeiling %v", policies.ErrParameters, *params.MinCeiling, params.MaxCeiling)
	}
	return &Holdback{policies.NewNamed(HoldbackType, name), params}, nil
}

// Ceilings implements [policies.UsageLimitPolicy].
func (p *Holdback) Ceilings(_ context.Context, _ time.Time, _ float64, priorities []int) []float64 {
	n := len(priorities)
	ceilings := make([]float64, n)
	for i := range priorities {
		down := 0.0 // 0 at the highest band, 1 at the lowest
		switch {
		case n == 1 || priorities[0] == priorities[n-1]:
		case p.params.Domain == "rank":
			down = float64(i) / float64(n-1)
		default:
			down = float64(priorities[0]-priorities[i]) / float64(priorities[0]-priorities[n-1])
		}
		ceilings[i] = p.params.MaxCeiling - down*(p.params.MaxCeiling-*p.params.MinCeiling)
	}
	return ceilings
}
