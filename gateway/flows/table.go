package flows

import (
	"sync"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// Table is the flows that this replica tells apart, and what each was served here.
// When there are too many, flows without requests for a while are forgotten. Its methods are
// safe for concurrent use.
type Table struct {
	mu     sync.Mutex
	flows  map[policies.FlowKey]*Entry
	byRule map[ruleKey]int // how many of them there are that share a rule
	forgot time.Time       // when flows to forget were last looked for
	began  time.Time       // when the replica began to tell flows apart
}

// idle is how long a flow is kept at least after its last request.
const idle = 5 * time.Minute

// Entry is one flow of a table.
type Entry struct {
	table    *Table
	rule     string
	first    time.Time // when its first request came
	figures  Figures
	output   float64       // running mean of its answers, in tokens
	measured int64         // answers that it was made of, up to meanOf
	held     float64       // running mean of how long its requests hold their slots, in seconds
	slotTime time.Duration // what its requests held: slots times time
	since    time.Time     // which slotTime is counted until
	used     time.Time

	forgotten bool
}

// Figures are what the requests of a flow come to that came in by this replica.
type Figures struct {
	// InFlight hold slots.
	InFlight int64
	// ServedRequests have ended, and cost ServedTokens together.
	ServedRequests, ServedTokens int64
	// TokensIn, TokensCached and TokensOut are what model servers counted for them.
	TokensIn, TokensCached, TokensOut int64
}

// Served is what a request cost that is over.
type Served struct {
	// Charged is by which it was settled, and Held how long it held its slot.
	Charged controller.Usage
	Held    time.Duration
	// Counted says that the model server said what it cost: a prompt of TokensIn, of which
	// TokensCached were in a cache, and an answer of TokensOut. Otherwise they are 0.
	Counted                           bool
	TokensIn, TokensCached, TokensOut int64
}

// meanOf is how many answers the running mean covers.
const meanOf = 32

// NewTable returns an empty table of a replica that has told flows apart since began.
func NewTable(began time.Time) *Table {
	return &Table{flows: make(map[policies.FlowKey]*Entry), byRule: make(map[ruleKey]int), began: began}
}

// ruleKey is what flows are counted by: those of a priority that one setting holds for, or
// none.
type ruleKey struct {
	priority int
	rule     string
}

// Admitted is what the table says of a request.
type Admitted struct {
	Flow   policies.FlowKey // that it counts for: its own, or one that it shares
	Sharer string           // who of those that share it; empty for its own
	First  bool             // it is the first here of a flow without a rule, as far as can be told
	Output int64            // mean length of the flow's recent answers, in tokens
	Known  bool             // that there were any
	Hold   time.Duration    // mean time for which the flow's recent requests held their slots; 0 for none
}

// Admit notes that a request of the flow came, and finds the flow that it counts for: its
// own, or, if there are too many of its priority and its rule, one that those beyond share.
// A flow with a rule of its own is always itself, and one without any may be a newcomer.
// The rules have their defaults.
func (t *Table) Admit(key policies.FlowKey, rule string, rules *Rules) (a Admitted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	a.Flow = key
	over := false
	e := t.flows[key]
	if e == nil {
		if shared := (ruleKey{key.Priority, rule}); rule != key.ID {
			if t.byRule[shared] >= rules.MaxFlows {
				t.forget(shared)
			}
			if t.byRule[shared] >= rules.MaxFlows {
				a.Flow.ID, over = Overflow, true
				if rule != "" {
					a.Flow.ID = rule // which holds for itself, too
				}
			}
		}
		a.First = rule == ""
		e = t.entry(a.Flow, rule, now)
	}
	e.used = now
	span := rules.Newcomers.For
	if rule == "" && span > 0 && (over || t.newcomer(e, now, span)) {
		a.Sharer, a.Flow.ID = key.ID, Newcomer
		e = t.entry(a.Flow, rule, now)
		e.used = now
	}
	a.Output, a.Known = max(1, int64(e.output+0.5)), e.measured > 0
	a.Hold = time.Duration(e.held * float64(time.Second))
	return a
}

// newcomer reports whether a flow is one for so long after its first request. A replica
// that has just started knows nobody, and takes who came before that time for known.
func (t *Table) newcomer(e *Entry, now time.Time, span time.Duration) bool {
	return now.Sub(e.first) < span && e.first.Sub(t.began) >= span
}

// entry returns the flow's, made on demand.
func (t *Table) entry(key policies.FlowKey, rule string, now time.Time) *Entry {
	e := t.flows[key]
	if e == nil {
		e = &Entry{table: t, rule: rule, first: now, since: now}
		t.flows[key] = e
		t.byRule[ruleKey{key.Priority, rule}]++
	}
	return e
}

// Begin counts a request in.
func (t *Table) Begin(key policies.FlowKey, rule string) *Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	e := t.entry(key, rule, now)
	e.count(now)
	e.figures.InFlight++
	e.used = now
	return e
}

// forget removes the flows that share a rule which have nothing in flight and had no request
// for a while.
func (t *Table) forget(shared ruleKey) {
	now := time.Now()
	if now.Sub(t.forgot) < time.Second {
		return // it costs a look at all of them
	}
	t.forgot = now
	for key, e := range t.flows {
		if key.Priority == shared.priority && e.rule == shared.rule && e.figures.InFlight == 0 && now.Sub(e.used) >= idle {
			delete(t.flows, key)
			e.forgotten = true
			t.byRule[shared]--
		}
	}
}

// End counts a request out.
func (e *Entry) End(s *Served) {
	e.table.mu.Lock()
	defer e.table.mu.Unlock()
	e.count(time.Now())
	f := &e.figures
	f.InFlight--
	f.ServedRequests++
	f.ServedTokens += s.Charged.InputTokens + s.Charged.OutputTokens
	f.TokensIn, f.TokensCached, f.TokensOut = f.TokensIn+s.TokensIn, f.TokensCached+s.TokensCached, f.TokensOut+s.TokensOut
	e.held += (s.Held.Seconds() - e.held) / float64(min(f.ServedRequests, meanOf))
	if s.Charged.Known {
		e.measured = min(e.measured+1, meanOf)
		e.output += (float64(s.Charged.OutputTokens) - e.output) / float64(e.measured)
	}
}

// count counts slot-time until now.
func (e *Entry) count(now time.Time) {
	e.slotTime += time.Duration(e.figures.InFlight) * now.Sub(e.since)
	e.since = now
}

// NextEnd is in how long the next of a flow's requests ends, of which so many are in flight in
// the fleet; 0 if that is not known.
func (t *Table) NextEnd(key policies.FlowKey, inFlight int64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.flows[key]; e != nil {
		return time.Duration(e.held / float64(inFlight) * float64(time.Second))
	}
	return 0
}

// Each calls visit for every flow, in no order. No request comes in meanwhile: visit must be
// short, and must not use the table.
func (t *Table) Each(visit func(policies.FlowKey, Figures)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, e := range t.flows {
		visit(key, e.figures)
	}
}
