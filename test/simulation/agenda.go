package simulation

import "time"

// agenda is what is to happen, the next first. It is a heap of its own kind since it is what
// the simulation does most.
type agenda struct {
	heap    []event
	planned uint64
}

// event is something that happens at a time since the run began, after those that were planned
// for the same time before it.
type event struct {
	at    time.Duration
	order uint64
	what  string
	do    func()
}

func (e *event) before(other *event) bool {
	return e.at < other.at || e.at == other.at && e.order < other.order
}

// plan adds an event.
func (a *agenda) plan(at time.Duration, what string, do func()) {
	a.planned++
	a.heap = append(a.heap, event{})
	a.up(len(a.heap)-1, event{at, a.planned, what, do})
}

// next takes out the next event, if it is not later than that.
func (a *agenda) next(until time.Duration) (e event, ok bool) {
	if len(a.heap) == 0 || a.heap[0].at > until {
		return event{}, false
	}
	e = a.heap[0]
	n := len(a.heap) - 1
	last := a.heap[n]
	a.heap[n] = event{}
	a.heap = a.heap[:n]
	if n > 0 {
		a.down(last)
	}
	return e, true
}

// up puts an event in its place, which is that one or above it.
func (a *agenda) up(i int, e event) {
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&a.heap[parent]) {
			break
		}
		a.heap[i] = a.heap[parent]
		i = parent
	}
	a.heap[i] = e
}

// down puts an event in its place, from the top on.
func (a *agenda) down(e event) {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(a.heap) {
			break
		}
		if child+1 < len(a.heap) && a.heap[child+1].before(&a.heap[child]) {
			child++
		}
		if !a.heap[child].before(&e) {
			break
		}
		a.heap[i] = a.heap[child]
		i = child
	}
	a.heap[i] = e
}
