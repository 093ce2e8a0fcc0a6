package fairness

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/weirflow/weir/policies"
)

// SlotsType is the type name of [Slots].
const SlotsType = "slot-fairness-policy"

// SlotsParameters are what the type takes.
type SlotsParameters struct {
	// ExpectedSeconds is what a request is charged when it is let go, or less where the last
	// of its flow held their slots for less; 1. What it holds it for beyond that is charged
	// as the time passes, and what it does not is returned at its end. Much less lets a flow
	// that comes first take a free pool before it is charged for it.
	ExpectedSeconds float64 `json:"expectedSeconds"`
}

// Slots gives every waiting flow the same part of the pool's slots over time, for its
// weight: the unit is a second of a slot. It is for pools where holding a slot is the cost,
// whatever passes through it: requests that run long, clients that read slowly, answers
// whose tokens nobody counts.
//
// Over a time in which flows wait, each gets the same slot-time, but for what is charged
// ahead and what was not charged yet; see docs/fairness.md. The virtual clock is that of
// [RoundRobin] with time in place of requests.
type Slots struct {
	stateless
	expected float64
}

// SlotsFactory is the factory of [SlotsType].
func SlotsFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	params := SlotsParameters{ExpectedSeconds: 1}
	if err := policies.DecodeParameters(parameters, &params); err != nil {
		return nil, err
	}
	p, err := NewSlots(name, params.ExpectedSeconds)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// leastExpected is the least that a request is expected to hold its slot for, in seconds.
const leastExpected = 0.001

// NewSlots returns the policy under the name, or ErrParameters for an expectation, in
// seconds, that is not from a millisecond to an hour.
func NewSlots(name string, expected float64) (*Slots, error) {
	if !(expected >= leastExpected && expected <= 3600) {
		return nil, fmt.Errorf("%w: expectedSeconds is %v, it must be from 0.001 to 3600", policies.ErrParameters, expected)
	}
	return &Slots{named(SlotsType, name), expected}, nil
}

// Pick implements [policies.FairnessPolicy].
func (p *Slots) Pick(_ context.Context, band policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	return policies.PickLeastServed(band), nil
}

// Charge implements [policies.CountingPolicy]: the seconds for which the request held its
// slot, or is expected to.
func (p *Slots) Charge(item policies.QueueItemAccessor) float64 {
	if held := item.Held(); held > 0 {
		return held.Seconds()
	}
	if hold := item.ExpectedHold(); hold > 0 {
		return min(p.expected, max(hold.Seconds(), leastExpected))
	}
	return p.expected
}

// Account implements [policies.Accountant]. What is expected changes no unit.
func (p *Slots) Account() policies.Account {
	return policies.Account{LiftsIdle: true, ByTime: true, Unit: "slot seconds"}
}
