package gateway

import (
	"sync"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// flowTable is the flows that this replica tells apart, and what each was served here.
// When there are too many, flows without requests for a while are forgotten.
type flowTable struct {
	mu     sync.Mutex
	flows  map[policies.FlowKey]*flowEntry
	byBand map[int]int // how many of them have the priority
	forgot time.Time   // when flows to forget were last looked for
}

// flowIdle is how long a flow is kept at least after its last request.
const flowIdle = 5 * time.Minute

type flowEntry struct {
	table            *flowTable
	inFlight         int64
	requests, tokens int64
	output           float64 // running mean of its answers, in tokens
	measured         int64   // answers that it was made of, up to meanOf
	used             time.Time
}

// meanOf is how many answers the running mean covers.
const meanOf = 32

func newFlowTable() *flowTable {
	return &flowTable{flows: make(map[policies.FlowKey]*flowEntry), byBand: make(map[int]int)}
}

// admit notes a request of the flow, and returns the flow that it counts for: its own, or
// the overflow flow if its priority has too many. It also returns the mean length of the
// flow's recent answers, in tokens, if that is known.
func (t *flowTable) admit(key policies.FlowKey, most int) (as policies.FlowKey, output int64, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.flows[key]
	if e == nil {
		if t.byBand[key.Priority] >= most {
			t.forget(key.Priority)
		}
		if t.byBand[key.Priority] >= most {
			key.ID = OverflowFlow
		}
		e = t.entry(key)
	}
	e.used = time.Now()
	return key, max(1, int64(e.output+0.5)), e.measured > 0
}

// entry returns the entry of the flow, made on demand.
func (t *flowTable) entry(key policies.FlowKey) *flowEntry {
	e := t.flows[key]
	if e == nil {
		e = &flowEntry{table: t}
		t.flows[key] = e
		t.byBand[key.Priority]++
	}
	return e
}

// begin counts a request in.
func (t *flowTable) begin(key policies.FlowKey) *flowEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entry(key)
	e.inFlight++
	e.used = time.Now()
	return e
}

// forget removes the flows of a priority that have nothing in flight and had no request
// for a while.
func (t *flowTable) forget(priority int) {
	now := time.Now()
	if now.Sub(t.forgot) < time.Second {
		return // it costs a look at all of them
	}
	t.forgot = now
	for key, e := range t.flows {
		if key.Priority == priority && e.inFlight == 0 && now.Sub(e.used) >= flowIdle {
			delete(t.flows, key)
			t.byBand[priority]--
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

// each calls visit with a copy of every entry.
func (t *flowTable) each(visit func(policies.FlowKey, flowEntry)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, e := range t.flows {
		visit(key, *e)
	}
}
