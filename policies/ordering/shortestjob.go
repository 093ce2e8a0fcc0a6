package ordering

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirflow/weir/policies"
)

// ShortestJobFirstType is the type name of [ShortestJobFirst].
const ShortestJobFirstType = "shortest-job-first-ordering-policy"

// ShortestJobFirst serves the request first that is expected to cost the fewest
// tokens, prompt and answer together, with ageing so that nothing starves: a
// request of n tokens stands as if it had come n times Aging later. A long one is
// passed by shorter ones that come within that time, and by none that come after.
type ShortestJobFirst struct {
	policies.Named
	aging time.Duration
}

// NewShortestJobFirst returns the policy under the name; aging is the head start
// that each token less is worth. Out of range it is ErrParameters.
func NewShortestJobFirst(name string, aging time.Duration) (*ShortestJobFirst, error) {
	if aging < time.Microsecond || aging > time.Minute {
		return nil, fmt.Errorf("%w: agingPerToken is %v, it must be from 1us to 1m", policies.ErrParameters, aging)
	}
	return &ShortestJobFirst{policies.NewNamed(ShortestJobFirstType, name), aging}, nil
}

// ShortestJobFirstFactory is the factory of [ShortestJobFirstType]; its parameter
// is agingPerToken, a duration such as "10ms", which is the default.
func ShortestJobFirstFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	params := struct {
		AgingPerToken policies.Duration `json:"agingPerToken"`
	}{policies.Duration(10 * time.Millisecond)}
	if err := policies.DecodeParameters(parameters, &params); err != nil {
		return nil, err
	}
	p, err := NewShortestJobFirst(name, time.Duration(params.AgingPerToken))
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Less implements [policies.OrderingPolicy].
func (p *ShortestJobFirst) Less(a, b policies.QueueItemAccessor) bool { return p.Score(a) < p.Score(b) }

// Score implements [policies.Scorer].
func (p *ShortestJobFirst) Score(item policies.QueueItemAccessor) float64 {
	tokens := min(float64(item.InputTokens()+item.OutputTokens()), 1e7)
	return policies.ArrivalScore(item) + tokens*float64(p.aging.Microseconds())
}
