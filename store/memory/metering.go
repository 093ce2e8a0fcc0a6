package memory

import (
	"context"
	"maps"
	"time"

	"github.com/weirflow/weir/store"
)

// hourOfUse is what flows used in an hour.
type hourOfUse struct {
	flows   map[string]*store.Usage
	batches map[string]uint64 // by writer: the last that was added
}

// AddUsage implements [store.Metering].
func (l *Ledger) AddUsage(_ context.Context, b *store.UsageBatch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.cfg.Clock().Add(-store.UsageKept)
	maps.DeleteFunc(l.shared.usage, func(at int64, _ *hourOfUse) bool { return time.Unix(at, 0).Before(oldest) })
	hour := l.shared.usage[b.Hour.Unix()]
	if hour == nil {
		hour = &hourOfUse{flows: make(map[string]*store.Usage), batches: make(map[string]uint64)}
		l.shared.usage[b.Hour.Unix()] = hour
	}
	if hour.batches[b.Writer] >= b.Number {
		return nil
	}
	hour.batches[b.Writer] = b.Number
	for i := range b.Flows {
		id := b.Flows[i].Flow
		if hour.flows[id] == nil && len(hour.flows) >= store.MaxUsageFlows {
			id = store.OtherFlows
		}
		if hour.flows[id] == nil {
			hour.flows[id] = &store.Usage{Flow: id}
		}
		hour.flows[id].Add(&b.Flows[i])
	}
	return nil
}

// Usage implements [store.Metering].
func (l *Ledger) Usage(_ context.Context, from, to time.Time, visit func(time.Time, store.Usage)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for at, hour := range l.shared.usage {
		if begun := time.Unix(at, 0).UTC(); !begun.Before(from) && begun.Before(to) {
			for _, u := range hour.flows {
				visit(begun, *u)
			}
		}
	}
	return nil
}
