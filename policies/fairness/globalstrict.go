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
	return policies.PickLowestRank(p, band), nil
}

// Rank implements [policies.RankingPolicy]: the score that the band's ordering policy
// gives the flow's head.
func (p *GlobalStrict) Rank(_ policies.PriorityBandAccessor, flow policies.FlowQueueAccessor) float64 {
	return flow.HeadScore()
}
