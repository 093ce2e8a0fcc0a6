package core

import (
	"slices"

	"github.com/weirflow/weir/internal/heap"
)

// byPriority is the requests that wait, by priority.
type byPriority struct {
	before func(a, b *request) bool
	bands  []*waitingBand // the highest first
}

// waitingBand is those of one.
type waitingBand struct {
	priority int
	requests int64                // how many there are
	pass     *heap.Heap[*request] // those that are of the kind to pass, who goes first on top
}

// band returns what waits of a priority.
func (b *byPriority) band(priority int) *waitingBand {
	at, found := slices.BinarySearchFunc(b.bands, priority, func(band *waitingBand, p int) int { return p - band.priority })
	if !found {
		b.bands = slices.Insert(b.bands, at, &waitingBand{
			priority: priority, pass: heap.New(b.before, func(r *request) *int { return &r.passIndex }),
		})
	}
	return b.bands[at]
}

// suits reports whether a request is of the kind to pass: the ledger alone counts those of flows
// and groups with limits of their own, and who shares a flow takes turns in it.
func (b *byPriority) suits(r *request) bool { return !r.ahead() && !r.limited && r.Sharer == "" }

func (b *byPriority) add(r *request) {
	if b.suits(r) {
		b.band(r.Flow.Priority).pass.Push(r)
	}
}

func (b *byPriority) remove(r *request) {
	if r.passIndex > 0 {
		b.band(r.Flow.Priority).pass.Remove(r)
	}
}

// fix puts a request where it belongs now.
func (b *byPriority) fix(r *request) {
	b.remove(r)
	b.add(r)
}
