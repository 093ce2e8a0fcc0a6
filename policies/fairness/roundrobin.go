package fairness

import (
	"context"

	"github.com/weirflow/weir/policies"
)

// Type names of [RoundRobin]. The second says what both do where flows have
// weights.
const (
	RoundRobinType         = "round-robin-fairness-policy"
	WeightedRoundRobinType = "weighted-round-robin-fairness-policy"
)

// RoundRobin gives every waiting flow the same number of requests, whatever
// they cost: the unit of fairness is the request. A flow of weight 2 gets two
// for each one of a flow of weight 1.
//
// Its counter is a virtual clock per flow (start-time fair queueing with every
// request of length 1; Goyal, Vin and Cheng, SIGCOMM '96, section 2), so it
// needs no ring and no cursor, and flows on different replicas compare.
type RoundRobin struct{ stateless }

// NewRoundRobin returns the policy under the name.
func NewRoundRobin(name string) *RoundRobin {
	return &RoundRobin{named(RoundRobinType, name)}
}

// NewWeightedRoundRobin returns the policy under the name and its other type.
func NewWeightedRoundRobin(name string) *RoundRobin {
	return &RoundRobin{named(WeightedRoundRobinType, name)}
}

// Pick implements [policies.FairnessPolicy].
func (p *RoundRobin) Pick(_ context.Context, band policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	return policies.PickLeastServed(band), nil
}

// Charge implements [policies.CountingPolicy]: a request is a request.
func (p *RoundRobin) Charge(policies.QueueItemAccessor) float64 { return 1 }
