package flows

import "sync/atomic"

// Objectives are the priorities of named objectives as Kubernetes says them, which come and go.
// The configuration has those of all others. The zero value is empty. It is safe for concurrent
// use.
type Objectives struct {
	byName atomic.Pointer[map[string]int]
}

// Set replaces them by name. The map must not change afterwards.
func (o *Objectives) Set(byName map[string]int) { o.byName.Store(&byName) }

// Priority returns the priority of the objective if Kubernetes has it.
func (o *Objectives) Priority(objective string) (priority int, known bool) {
	if all := o.byName.Load(); all != nil {
		priority, known = (*all)[objective]
	}
	return priority, known
}
