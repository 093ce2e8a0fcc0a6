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
	byRule map[ruleKey]int // how many of them there are that share a rule
	forgot time.Time       // when flows to forget were last looked for
}

// flowIdle is how long a flow is kept at least after its last request.
const flowIdle = 5 * time.Minute

type flowEntry struct {
	table            *flowTable
	rule             string
	inFlight         int64
	requests, tokens int64
	output           float64 // running mean of its answers, in tokens
	measured         int64   // answers that it was made of, up to meanOf
	held             float64 // running mean of how long its requests hold their slots, in seconds
	used             time.Time
}

// meanOf is how many answers the running mean covers.
const meanOf = 32

func newFlowTable() *flowTable {
	return &flowTable{flows: make(map[policies.FlowKey]*flowEntry), byRule: make(map[ruleKey]int)}
}

// ruleKey is what flows are counted by: those of a priority that one setting holds for, or
// none.
type ruleKey struct {
	priority int
	rule     string
}

// admit notes that a request of the flow came, and returns the flow that it counts for: its
// own, or, if there are too many of its priority and its rule, one that those beyond share.
// A flow with a rule of its own is always itself. admit also returns the mean length of the
// flow's recent answers, in tokens, if that is known.
func (t *flowTable) admit(key policies.FlowKey, rule string, most int) (as policies.FlowKey, output int64, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.flows[key]
	if e == nil {
		if shared := (ruleKey{key.Priority, rule}); rule != key.ID {
			if t.byRule[shared] >= most {
				t.forget(shared)
			}
			if t.byRule[shared] >= most {
				key.ID = OverflowFlow
				if rule != "" {
					key.ID = rule // which holds for itself, too
				}
			}
		}
		e = t.entry(key, rule)
	}
	e.used = time.Now()
	return key, max(1, int64(e.output+0.5)), e.measured > 0
}

// entry returns the flow's, made on demand.
func (t *flowTable) entry(key policies.FlowKey, rule string) *flowEntry {
	e := t.flows[key]
	if e == nil {
		e = &flowEntry{table: t, rule: rule}
		t.flows[key] = e
		t.byRule[ruleKey{key.Priority, rule}]++
	}
	return e
}

// begin counts a request in.
func (t *flowTable) begin(key policies.FlowKey, rule string) *flowEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entry(key, rule)
	e.inFlight++
	e.used = time.Now()
	return e
}

// forget removes the flows that share a rule which have nothing in flight and had no request
// for a while.
func (t *flowTable) forget(shared ruleKey) {
	now := time.Now()
	if now.Sub(t.forgot) < time.Second {
		return // it costs a look at all of them
	}
	t.forgot = now
	for key, e := range t.flows {
		if key.Priority == shared.priority && e.rule == shared.rule && e.inFlight == 0 && now.Sub(e.used) >= flowIdle {
			delete(t.flows, key)
			t.byRule[shared]--
		}
	}
}

// end counts a request out.
func (e *flowEntry) end(u controller.Usage, held time.Duration) {
	e.table.mu.Lock()
	defer e.table.mu.Unlock()
	e.inFlight--
	e.requests++
	e.held += (held.Seconds() - e.held) / float64(min(e.requests, meanOf))
	e.tokens += u.InputTokens + u.OutputTokens
	if u.Known {
		e.measured = min(e.measured+1, meanOf)
		e.output += (float64(u.OutputTokens) - e.output) / float64(e.measured)
	}
}

// next is in how long the next of a flow's requests ends, of which so many are in flight in
// the fleet; 0 if that is not known.
func (t *flowTable) next(key policies.FlowKey, inFlight int64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.flows[key]; e != nil {
		return time.Duration(e.held / float64(inFlight) * float64(time.Second))
	}
	return 0
}

// each calls visit with a copy of every entry.
func (t *flowTable) each(visit func(policies.FlowKey, flowEntry)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, e := range t.flows {
		visit(key, *e)
	}
}
