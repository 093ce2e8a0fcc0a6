// Package eviction has the built-in policies of eviction: which requests in flight
// may be revoked when a higher band waits at a full pool, and which of them first.
package eviction

import (
	"time"

	"github.com/weirflow/weir/policies"
)

// Type names, each with the other spelling that today's EPP has in its documents.
const (
	SheddableType             = "sheddable-eviction-filter"
	SheddableOtherType        = "eviction-sheddable-filter"
	PriorityThenTimeType      = "priority-then-time-eviction-order-policy"
	PriorityThenTimeOtherType = "eviction-priority-time-ordering"
)

// Sheddable lets requests of negative priorities be revoked.
type Sheddable struct{ policies.Named }

// NewSheddable returns the policy under the name.
func NewSheddable(name string) *Sheddable {
	return &Sheddable{policies.NewNamed(SheddableType, name)}
}

// Evictable implements [policies.EvictionFilter].
func (p *Sheddable) Evictable(flow policies.FlowKey) bool { return flow.Priority < 0 }

// PriorityThenTime revokes the lowest priority's requests first, and of one
// priority's the newest, which lose least.
type PriorityThenTime struct{ policies.Named }

// NewPriorityThenTime returns the policy under the name.
func NewPriorityThenTime(name string) *PriorityThenTime {
	return &PriorityThenTime{policies.NewNamed(PriorityThenTimeType, name)}
}

// Score implements [policies.EvictionOrder]: the newest first.
func (p *PriorityThenTime) Score(_ policies.FlowKey, dispatched time.Time) float64 {
	return -float64(dispatched.UnixMicro())
}
