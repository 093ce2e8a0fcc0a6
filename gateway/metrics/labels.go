package metrics

import (
	"sync"
	"time"
)

// other is the label of what is past a bound.
const other = "other"

// maxFlowLabels bounds the number of flow label values.
const maxFlowLabels = 1000

// labelIdle is how long a flow's series are kept at least after it was last seen,
// once there are too many.
const labelIdle = 10 * time.Minute

// flowLabels bounds the values of the label of flows. It is safe for concurrent use.
type flowLabels struct {
	forget func(gone map[string]bool) // drops the series of flows

	mu     sync.Mutex
	seen   map[string]time.Time // those with a label of their own, and when they were last seen
	forgot time.Time
}

func newFlowLabels(forget func(gone map[string]bool)) *flowLabels {
	return &flowLabels{forget: forget, seen: make(map[string]time.Time)}
}

// of returns the flow's id, or "other" if there are too many.
func (l *flowLabels) of(id string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if _, known := l.seen[id]; !known && len(l.seen) >= maxFlowLabels {
		if l.forgetIdle(now); len(l.seen) >= maxFlowLabels {
			return other
		}
	}
	l.seen[id] = now
	return id
}

// forgetIdle forgets flows that were not seen for a while. The lock is held.
func (l *flowLabels) forgetIdle(now time.Time) {
	if now.Sub(l.forgot) < time.Minute {
		return // it costs a look at all of them
	}
	l.forgot = now
	gone := make(map[string]bool)
	for id, seen := range l.seen {
		if now.Sub(seen) >= labelIdle {
			delete(l.seen, id)
			gone[id] = true
		}
	}
	l.forget(gone)
}

// boundedLabel bounds a label's values. It is safe for concurrent use.
type boundedLabel struct {
	most int

	mu     sync.RWMutex
	values map[string]bool
}

// of returns the value, or "other" if there are too many.
func (b *boundedLabel) of(value string) string {
	b.mu.RLock()
	known := b.values[value]
	b.mu.RUnlock()
	if known {
		return value
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.values[value] {
		if len(b.values) >= b.most {
			return other
		}
		if b.values == nil {
			b.values = make(map[string]bool)
		}
		b.values[value] = true
	}
	return value
}
