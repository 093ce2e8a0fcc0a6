package fairness

import (
	"context"

	"github.com/weirflow/weir/policies"
)

// GlobalStrictType is the type name of [GlobalStrict].
const GlobalStrictType = "global-strict-fairness-policy"

// GlobalStrict treats the band as one queue: the request that the ordering policy
// puts first goes first, whichever flow it belongs to. It gives no fairness between
// tenants; choose it where a band has one.
type GlobalStrict struct{ stateless }

// NewGlobalStrict returns the policy under the name.
func NewGlobalStrict(name string) *GlobalStrict {
	return &GlobalStrict{named(GlobalStrictType, name)}
}

// Pick implements [policies.FairnessPolicy].
func (p *GlobalStrict) Pick(_ context.Context, band policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	return policies.PickLowest(p, band), nil
}

// Rank implements [policies.Ranker]: the score that the band's ordering policy
// gives the flow's head.
func (p *GlobalStrict) Rank(_ policies.PriorityBandAccessor, flow policies.FlowQueueAccessor) float64 {
	return flow.HeadScore()
}

// Charge implements [policies.Ranker].
func (p *GlobalStrict) Charge(policies.QueueItemAccessor) float64 { return 0 }

// Account implements [policies.Accountant]: ranks are scores, nothing is counted.
func (p *GlobalStrict) Account() policies.Account { return policies.Account{} }
