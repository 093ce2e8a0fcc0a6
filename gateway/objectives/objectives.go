// Package objectives merges the two places that say which priority a named objective
// has: Kubernetes' InferenceObjectives, which come and go, and the configuration.
package objectives

import "sync/atomic"

// Table knows the objectives that Kubernetes has. The zero value knows none. It is safe
// for concurrent use.
type Table struct {
	byName atomic.Pointer[map[string]int]
}

// Set replaces them by name. The map must not change afterwards.
func (t *Table) Set(byName map[string]int) { t.byName.Store(&byName) }

// Priority returns that of the objective, if Kubernetes has it. The configuration says
// that of all others.
func (t *Table) Priority(objective string) (priority int, known bool) {
	if all := t.byName.Load(); all != nil {
		priority, known = (*all)[objective]
	}
	return priority, known
}
