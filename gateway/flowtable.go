package gateway

import (
	"sync"
	"time"

	"github.com/weirflow/weir/policies"
)

// flowTable is the flows that this replica tells apart, and what each was served here.
// When there are too many, flows without requests for a while are forgotten.
type flowTable struct {
	mu     sync.Mutex
	flows  map[policies.FlowKey]*flowEntry
	byRule map[ruleKey]int // how many of them there are that share a rule
	forgot time.Time       // when flows to forget were last looked for
	began  time.Time       // when the replica began to tell flows apart
}

// flowIdle is how long a flow is kept at least after its last request.
const flowIdle = 5 * time.Minute

type flowEntry struct {
	table            *flowTable
	rule             string
	first            time.Time // when its first request came
	inFlight         int64
	requests, tokens int64
	sums             tokenSums
	output           float64 // running mean of its answers, in tokens
	measured         int64   // answers that it was made of, up to meanOf
	held             float64 // running mean of how long its requests hold their slots, in seconds
	used             time.Time
}

// tokenSums is tokens as model servers counted them.
type tokenSums struct{ in, cached, out int64 }

// meanOf is how many answers the running mean covers.
const meanOf = 32

func newFlowTable() *flowTable {
	return &flowTable{flows: make(map[policies.FlowKey]*flowEntry), byRule: make(map[ruleKey]int), began: time.Now()}
}

// ruleKey is what flows are counted by: those of a priority that one setting holds for, or
// none.
type ruleKey struct {
	priority int
	rule     string
}

// admitted is what the table says of a request.
type admitted struct {
	flow   policies.FlowKey // that it counts for: its own, or one that it shares
	sharer string           // who of those that share it; empty for its own
	first  bool             // it is the first here of a flow without a rule, as far as can be told
	output int64            // mean length of the flow's recent answers, in tokens
	known  bool             // that there were any
}

// admit notes that a request of the flow came, and finds the flow that it counts for: its
// own, or, if there are too many of its priority and its rule, one that those beyond share.
// A flow with a rule of its own is always itself, and one without any may be a newcomer.
func (t *flowTable) admit(key policies.FlowKey, rule string, tenants *Tenants) (a admitted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	a.flow = key
	over := false
	e := t.flows[key]
	if e == nil {
		if shared := (ruleKey{key.Priority, rule}); rule != key.ID {
			if t.byRule[shared] >= tenants.MaxFlows {
				t.forget(shared)
			}
			if t.byRule[shared] >= tenants.MaxFlows {
				a.flow.ID, over = OverflowFlow, true
				if rule != "" {
					a.flow.ID = rule // which holds for itself, too
				}
			}
		}
		a.first = rule == ""
		e = t.entry(a.flow, rule, now)
	}
	e.used = now
	span := tenants.Newcomers.For
	if rule == "" && span > 0 && (over || t.newcomer(e, now, span)) {
		a.sharer, a.flow.ID = key.ID, NewcomersFlow
		e = t.entry(a.flow, rule, now)
		e.used = now
	}
	a.output, a.known = max(1, int64(e.output+0.5)), e.measured > 0
	return a
}

// newcomer reports whether a flow is one for so long after its first request. A replica
// that has just started knows nobody, and takes who came before that time for known.
func (t *flowTable) newcomer(e *flowEntry, now time.Time, span time.Duration) bool {
	return now.Sub(e.first) < span && e.first.Sub(t.began) >= span
}

// entry returns the flow's, made on demand.
func (t *flowTable) entry(key policies.FlowKey, rule string, now time.Time) *flowEntry {
	e := t.flows[key]
	if e == nil {
		e = &flowEntry{table: t, rule: rule, first: now}
		t.flows[key] = e
		t.byRule[ruleKey{key.Priority, rule}]++
	}
	return e
}

// begin counts a request in.
func (t *flowTable) begin(key policies.FlowKey, rule string) *flowEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	e := t.entry(key, rule, now)
	e.inFlight++
	e.used = now
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
func (e *flowEntry) end(s *Served) {
	u, held := s.Charged, s.Held
	e.table.mu.Lock()
	defer e.table.mu.Unlock()
	e.inFlight--
	e.requests++
	e.held += (held.Seconds() - e.held) / float64(min(e.requests, meanOf))
	e.tokens += u.InputTokens + u.OutputTokens
	e.sums.in, e.sums.cached, e.sums.out = e.sums.in+s.TokensIn, e.sums.cached+s.TokensCached, e.sums.out+s.TokensOut
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

// inFlight calls visit for every flow, with the number of its requests in flight.
func (t *flowTable) inFlight(visit func(policies.FlowKey, int64)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, e := range t.flows {
		visit(key, e.inFlight)
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
