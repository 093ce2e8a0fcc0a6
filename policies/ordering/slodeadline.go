package ordering

import (
	"encoding/json"

	"github.com/weirflow/weir/policies"
)

// SLODeadlineType is the type name of [SLODeadline].
const SLODeadlineType = "slo-deadline-ordering-policy"

// SLODeadline serves the request first whose first token is due first: arrival
// plus the target that its x-llm-d-slo-ttft-ms header states. Requests without
// one go last, in the order they came.
type SLODeadline struct{ named }

// NewSLODeadline returns the policy under the name.
func NewSLODeadline(name string) *SLODeadline {
	return &SLODeadline{named{policies.TypedName{Type: SLODeadlineType, Name: name}}}
}

// SLODeadlineFactory is the factory of [SLODeadlineType]; it takes no parameters.
func SLODeadlineFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	return withoutParameters(func(name string) policies.Plugin { return NewSLODeadline(name) })(name, parameters)
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
