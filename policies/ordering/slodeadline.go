package ordering

import (
	"github.com/weirflow/weir/policies"
)

// SLODeadlineType is the type name of [SLODeadline].
const SLODeadlineType = "slo-deadline-ordering-policy"

// SLODeadline serves the request first whose first token is due first: arrival
// plus the target that its x-llm-d-slo-ttft-ms header states. Requests without
// one go last, in the order they came.
type SLODeadline struct{ policies.Named }

// NewSLODeadline returns the policy under the name.
func NewSLODeadline(name string) *SLODeadline {
	return &SLODeadline{policies.NewNamed(SLODeadlineType, name)}
}

// Less implements [policies.OrderingPolicy].
func (p *SLODeadline) Less(a, b policies.QueueItemAccessor) bool { return p.Score(a) < p.Score(b) }

// Score implements [policies.Scorer]: when the first token is due, in
// microseconds.
func (p *SLODeadline) Score(item policies.QueueItemAccessor) float64 {
	if target := item.TargetTTFT(); target > 0 {
		return policies.ArrivalScore(item) + float64(target.Microseconds())
	}
	return last + policies.ArrivalScore(item)
}
