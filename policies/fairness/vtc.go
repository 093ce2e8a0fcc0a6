package fairness

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/weirflow/weir/policies"
)

// VTCType is the type name of [VTC].
const VTCType = "vtc-fairness-policy"

// VTCParameters are what the type takes.
type VTCParameters struct {
	// InputTokenWeight and OutputTokenWeight are what a token of the prompt and
	// one of the answer count; 1 and 2. An answer's token costs the server a step
	// of its own, a prompt's is computed with the others'.
	InputTokenWeight  float64 `json:"inputTokenWeight"`
	OutputTokenWeight float64 `json:"outputTokenWeight"`
}

// VTC gives every waiting flow the same service, counted in weighted tokens: the
// virtual token counter of Sheng et al., "Fairness in Serving Large Language
// Models", OSDI '24, section 4. A flow of weight 2 gets twice the tokens of a flow
// of weight 1.
//
// A flow that comes back from idleness is lifted to the least of those that wait
// (theirs is the minimum over active counters, here the band's virtual time), so
// that nobody saves up service by being away. The answer's length is not known
// when a request is dispatched: an estimate is charged, and settled as the answer
// streams and when it ends, where the paper charges each step.
type VTC struct {
	stateless
	params VTCParameters
}

// VTCFactory is the factory of [VTCType].
func VTCFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	params := VTCParameters{InputTokenWeight: 1, OutputTokenWeight: 2}
	if err := policies.DecodeParameters(parameters, &params); err != nil {
		return nil, err
	}
	p, err := NewVTC(name, params)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// NewVTC returns the policy under the name, or ErrParameters.
func NewVTC(name string, params VTCParameters) (*VTC, error) {
	for _, w := range []struct {
		field string
		value float64
	}{{"inputTokenWeight", params.InputTokenWeight}, {"outputTokenWeight", params.OutputTokenWeight}} {
		if !(w.value >= 0 && w.value <= 1e6) {
			return nil, fmt.Errorf("%w: %s is %v, it must be from 0 to 1000000", policies.ErrParameters, w.field, w.value)
		}
	}
	if params.InputTokenWeight == 0 && params.OutputTokenWeight == 0 {
		return nil, fmt.Errorf("%w: inputTokenWeight and outputTokenWeight are both 0: nothing would count", policies.ErrParameters)
	}
	return &VTC{named(VTCType, name), params}, nil
}

// Pick implements [policies.FairnessPolicy].
func (p *VTC) Pick(_ context.Context, band policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	return policies.PickLeastServed(band), nil
}

// Account implements [policies.Accountant].
func (p *VTC) Account() policies.Account {
	return policies.Account{
		LiftsIdle: true,
		Unit:      fmt.Sprintf("%g/%g tokens", p.params.InputTokenWeight, p.params.OutputTokenWeight),
	}
}

// Charge implements [policies.CountingPolicy]: weighted tokens.
func (p *VTC) Charge(item policies.QueueItemAccessor) float64 {
	return p.params.InputTokenWeight*float64(item.InputTokens()) + p.params.OutputTokenWeight*float64(item.OutputTokens())
}
