package ordering

import (
	"github.com/weirflow/weir/policies"
)

// FCFSType is the type name of [FCFS].
const FCFSType = "fcfs-ordering-policy"

// FCFS serves a flow's requests first come, first served, by the ledger's
// clock, so that the order holds over the replicas they came in by.
type FCFS struct{ policies.Named }

// NewFCFS returns the policy under the name.
func NewFCFS(name string) *FCFS { return &FCFS{policies.NewNamed(FCFSType, name)} }

// Less implements [policies.OrderingPolicy].
func (p *FCFS) Less(a, b policies.QueueItemAccessor) bool { return a.Arrival().Before(b.Arrival()) }

// Score implements [policies.Scorer].
func (p *FCFS) Score(item policies.QueueItemAccessor) float64 { return policies.ArrivalScore(item) }
