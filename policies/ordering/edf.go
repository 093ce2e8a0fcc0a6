package ordering

import (
	"github.com/weirflow/weir/policies"
)

// EDFType is the type name of [EDF].
const EDFType = "edf-ordering-policy"

// EDF serves the request first whose time in the queue ends first: earliest
// deadline first, the deadline being arrival plus TTL. Requests that may wait for
// ever go last, in the order they came.
type EDF struct{ policies.Named }

// NewEDF returns the policy under the name.
func NewEDF(name string) *EDF { return &EDF{policies.NewNamed(EDFType, name)} }

// Less implements [policies.OrderingPolicy].
func (p *EDF) Less(a, b policies.QueueItemAccessor) bool { return p.Score(a) < p.Score(b) }

// Score implements [policies.Scorer]: the deadline in microseconds.
func (p *EDF) Score(item policies.QueueItemAccessor) float64 {
	if d := item.Deadline(); !d.IsZero() {
		return float64(d.UnixMicro())
	}
	return last + policies.ArrivalScore(item)
}
