package core

import (
	"time"

	"github.com/weirflow/weir/internal/heap"
)

// deadlines is the requests that wait for so long at most. Who is the first is only looked for
// once a time is up: of most, the wait ends long before.
//
// Invariant: none of them is before soonest.
type deadlines struct {
	of      *heap.Heap[*request]
	soonest time.Time // perhaps of one that waits no more
}

func newDeadlines() deadlines {
	return deadlines{of: heap.New(func(a, b *request) bool { return a.deadline.Before(b.deadline) },
		func(r *request) *int { return &r.deadlineIndex })}
}

// add adds a request that has a deadline.
func (d *deadlines) add(r *request) {
	if d.of.Len() == 0 || r.deadline.Before(d.soonest) {
		d.soonest = r.deadline
	}
	d.of.Push(r)
}

// remove takes a request out, if it is there.
func (d *deadlines) remove(r *request) { d.of.Remove(r) }

// expired returns a request whose time is up, or nil.
func (d *deadlines) expired(now time.Time) *request {
	if d.of.Len() == 0 || d.soonest.After(now) {
		return nil
	}
	first := d.of.Min()
	if d.soonest = first.deadline; d.soonest.After(now) {
		return nil
	}
	return first
}

// next is when one is to be looked for, no later than the time given.
func (d *deadlines) next(latest time.Time) time.Time {
	if d.of.Len() == 0 {
		return latest
	}
	return earlier(latest, d.soonest)
}
