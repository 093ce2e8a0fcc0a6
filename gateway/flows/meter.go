package flows

import (
	"maps"
	"sync"
	"time"

	"github.com/weirflow/weir/policies"
)

// Meter tells what the flows of a table held, each second of a slot once, so that nothing is missing
// from a sum of many flows when one is forgotten. Each who adds up has a meter of their own. Its
// methods are safe for concurrent use.
type Meter struct {
	table *Table
	mu    sync.Mutex // taken before the table's
	told  map[*Entry]time.Duration
}

// Meter returns a meter that has told nothing yet.
func (t *Table) Meter() *Meter { return &Meter{table: t, told: make(map[*Entry]time.Duration)} }

// Held calls visit, as [Table.Each] does, for every flow that held slots since Held was last
// called, with slots times time. It must be called more often than flows are forgotten, which is
// after minutes without a request.
func (m *Meter) Held(visit func(policies.FlowKey, time.Duration)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table.mu.Lock()
	defer m.table.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(m.told, func(e *Entry, _ time.Duration) bool { return e.forgotten })
	for key, e := range m.table.flows {
		if e.count(now); e.slotTime > m.told[e] {
			visit(key, e.slotTime-m.told[e])
			m.told[e] = e.slotTime
		}
	}
}
