package ordering

import (
	"encoding/json"

	"github.com/weirflow/weir/policies"
)

// FCFSType is the type name of [FCFS].
const FCFSType = "fcfs-ordering-policy"

// FCFS serves a flow's requests first come, first served, by the ledger's
// clock, so that the order holds over the replicas they came in by.
type FCFS struct{ named }

// NewFCFS returns the policy under the name.
func NewFCFS(name string) *FCFS { return &FCFS{named{policies.TypedName{Type: FCFSType, Name: name}}} }

// FCFSFactory is the factory of [FCFSType]; it takes no parameters.
func FCFSFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	return withoutParameters(func(name string) policies.Plugin { return NewFCFS(name) })(name, parameters)
}

// Less implements [policies.OrderingPolicy].
func (p *FCFS) Less(a, b policies.QueueItemAccessor) bool { return a.Arrival().Before(b.Arrival()) }

// Score implements [policies.Scorer].
func (p *FCFS) Score(item policies.QueueItemAccessor) float64 { return policies.ArrivalScore(item) }
