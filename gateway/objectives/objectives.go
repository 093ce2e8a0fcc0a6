// Package objectives merges the two places that say which priority a named objective
// has: Kubernetes' InferenceObjectives, which come and go, and the configuration.
package objectives

import "sync/atomic"

// Table has the objectives of Kubernetes. The zero value is empty. It is safe for
// concurrent use.
type Table struct {
	byName atomic.Pointer[map[string]int]
}

// Set replaces them by name. The map must not change afterwards.
func (t *Table) Set(byName map[string]int) { t.byName.Store(&byName) }

// Priority returns the priority of the objective if Kubernetes has it. The configuration
// has those of all others.
func (t *Table) Priority(objective string) (priority int, known bool) {
	if all := t.byName.Load(); all != nil {
		priority, known = (*all)[objective]
	}
	return priority, known
}
