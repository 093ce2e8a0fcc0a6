package gateway

import (
	"sync"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// flowTable counts what each flow was served by this replica, for operators. It
// remembers a bounded number of flows, those used last.
type flowTable struct {
	mu    sync.Mutex
	flows map[policies.FlowKey]*flowEntry
}

const maxFlowEntries = 10_000

type flowEntry struct {
	table            *flowTable
	inFlight         int64
	requests, tokens int64
	output           float64 // running mean of its answers, in tokens
	measured         int64   // answers that it was made of, up to meanOf
	used             time.Time
}

// meanOf is how many answers the running mean of a flow's answers goes back.
const meanOf = 32

func newFlowTable() *flowTable { return &flowTable{flows: make(map[policies.FlowKey]*flowEntry)} }

// begin counts a request in.
func (t *flowTable) begin(key policies.FlowKey) *flowEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.flows[key]
	if e == nil {
		if len(t.flows) >= maxFlowEntries {
			t.forget()
		}
		e = &flowEntry{table: t}
		t.flows[key] = e
	}
	e.inFlight++
	e.used = time.Now()
	return e
}

// forget drops the flows that nothing is in flight for and that have been unused
// for longer than the mean.
func (t *flowTable) forget() {
	now := time.Now()
	var age time.Duration
	for _, e := range t.flows {
		age += now.Sub(e.used) / maxFlowEntries
	}
	for key, e := range t.flows {
		if e.inFlight == 0 && now.Sub(e.used) >= age {
			delete(t.flows, key)
		}
	}
}

// end counts a request out.
func (e *flowEntry) end(u controller.Usage) {
	e.table.mu.Lock()
	defer e.table.mu.Unlock()
	e.inFlight--
	e.requests++
	e.tokens += u.InputTokens + u.OutputTokens
	if u.Known {
		e.measured = min(e.measured+1, meanOf)
		e.output += (float64(u.OutputTokens) - e.output) / float64(e.measured)
	}
}

// expected is how long a flow's next answer may be expected to be, in tokens, if
// that is known.
func (t *flowTable) expected(key policies.FlowKey) (tokens int64, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.flows[key]
	if e == nil || e.measured == 0 {
		return 0, false
	}
	return max(1, int64(e.output+0.5)), true
}

// each calls visit with a copy of every entry.
func (t *flowTable) each(visit func(policies.FlowKey, flowEntry)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, e := range t.flows {
		visit(key, *e)
	}
}
