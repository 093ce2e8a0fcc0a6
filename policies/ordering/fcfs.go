package ordering

import (
	"encoding/json"

	"github.com/weirflow/weir/policies"
)

// FCFSType is the type name of [FCFS].
const FCFSType = "fcfs-ordering-policy"

// FCFS serves a flow's requests first come, first served, by the ledger's
// clock, so that the order holds over the replicas they came in by.
type FCFS struct{ name string }

// NewFCFS returns the policy under the name.
func NewFCFS(name string) *FCFS { return &FCFS{name: name} }

// FCFSFactory is the factory of [FCFSType]; it takes no parameters.
func FCFSFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	if err := policies.DecodeParameters(parameters, &struct{}{}); err != nil {
		return nil, err
	}
	return NewFCFS(name), nil
}

// TypedName implements [policies.Plugin].
func (p *FCFS) TypedName() policies.TypedName {
	return policies.TypedName{Type: FCFSType, Name: p.name}
}

// Less implements [policies.OrderingPolicy].
func (p *FCFS) Less(a, b policies.QueueItemAccessor) bool { return a.Arrival().Before(b.Arrival()) }

// Score implements [policies.Scorer].
func (p *FCFS) Score(item policies.QueueItemAccessor) float64 { return policies.ArrivalScore(item) }
