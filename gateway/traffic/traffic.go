// Package traffic keeps what went through flow control lately, by flow and by priority:
// how many requests were dispatched and refused, and how long they waited. It is bounded
// in time and in flows.
package traffic

import (
	"sync"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// periodLength is how long figures are gathered until the next ones begin. What is told of the
// last time is told of one to two periods.
const periodLength = 30 * time.Second

// maxFlows bounds the flows that are told apart; further ones count by their priority
// alone.
const maxFlows = 20_000

// Counts are the figures of some time.
type Counts struct {
	Dispatched, Refused, Evicted uint64
	// Tokens are those of the requests that ended.
	Tokens uint64
	// Waits are those of the requests dispatched.
	Waits Waits
}

func (c *Counts) add(o *Counts) {
	c.Dispatched += o.Dispatched
	c.Refused += o.Refused
	c.Evicted += o.Evicted
	c.Tokens += o.Tokens
	c.Waits.Add(&o.Waits)
}

func (c *Counts) count(outcome controller.Outcome, waited time.Duration) {
	switch outcome {
	case controller.Dispatched:
		c.Dispatched++
		c.Waits.Observe(waited)
	case controller.RejectedCapacity, controller.RejectedNoEndpoints, controller.RejectedOther:
		c.Refused++
	default:
		c.Evicted++
	}
}

// Log is what went through a controller. It implements controller.Observer, and is safe
// for concurrent use.
type Log struct {
	now func() time.Time

	mu    sync.Mutex
	aside bool // nothing counts
	begun time.Time
	total Counts // since the start
	bands map[int]*window
	flows map[policies.FlowKey]*window
	swept int64
	// refusals are requests that the gateway ended itself, by the code of the answer.
	refusals map[string]*refusals
}

// refusals are how many there were in the current period and the one before.
type refusals struct {
	period      int64
	now, before uint64
}

// at moves the numbers to a period.
func (r *refusals) at(period int64) *refusals {
	switch period - r.period {
	case 0:
	case 1:
		r.before, r.now = r.now, 0
	default:
		r.before, r.now = 0, 0
	}
	r.period = period
	return r
}

// maxRefusals bounds the codes that are told apart.
const maxRefusals = 100

// Refused notes a request that the gateway ended itself, by the code of its answer.
func (l *Log) Refused(code string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.refusals[code]
	if r == nil {
		if len(l.refusals) >= maxRefusals {
			return
		}
		r = &refusals{}
		l.refusals[code] = r
	}
	r.at(l.period()).now++
}

// Refusals returns how many requests the gateway ended itself of late, by code.
func (l *Log) Refusals() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	period, all := l.period(), make(map[string]uint64)
	for code, r := range l.refusals {
		if r.at(period); r.now+r.before > 0 {
			all[code] = r.now + r.before
		}
	}
	return all
}

// window is the figures of the current period and the one before.
type window struct {
	period      int64
	now, before Counts
}

// NewLog returns an empty log.
func NewLog() *Log { return newLog(time.Now) }

func newLog(now func() time.Time) *Log {
	return &Log{now: now, begun: now(), bands: make(map[int]*window), flows: make(map[policies.FlowKey]*window), refusals: make(map[string]*refusals)}
}

// at moves the window to a period.
func (w *window) at(period int64) *window {
	switch period - w.period {
	case 0:
	case 1:
		w.before, w.now = w.now, Counts{}
	default:
		w.before, w.now = Counts{}, Counts{}
	}
	w.period = period
	return w
}

// of is the figures told of in a period.
func (w window) of(period int64) Counts {
	w.at(period)
	w.before.add(&w.now)
	return w.before
}

// Decided implements controller.Observer.
func (l *Log) Decided(flow policies.FlowKey, outcome controller.Outcome, waited time.Duration, _ string) {
	l.each(flow, func(c *Counts) { c.count(outcome, waited) })
}

// Served notes what a request of the flow cost that has ended.
func (l *Log) Served(flow policies.FlowKey, u controller.Usage) {
	l.each(flow, func(c *Counts) { c.Tokens += uint64(max(0, u.InputTokens+u.OutputTokens)) })
}

// Restart forgets what went through of late, as what comes from now on is of another kind.
// What is decided while change makes it so is of neither.
func (l *Log) Restart(change func()) {
	l.mu.Lock()
	l.aside = true
	l.mu.Unlock()
	change()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.aside, l.begun = false, l.now()
	clear(l.bands)
	clear(l.flows)
}

// each calls change with all that a flow's requests count for.
func (l *Log) each(flow policies.FlowKey, change func(*Counts)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.aside {
		return
	}
	period := l.period()
	change(&l.total)
	b := l.bands[flow.Priority]
	if b == nil {
		b = &window{period: period}
		l.bands[flow.Priority] = b
	}
	change(&b.at(period).now)
	f := l.flows[flow]
	if f == nil {
		if len(l.flows) >= maxFlows {
			return
		}
		f = &window{period: period}
		l.flows[flow] = f
	}
	change(&f.at(period).now)
}

// period is the current one. What had nothing for two of them is forgotten at its begin.
func (l *Log) period() int64 {
	period := l.now().UnixNano() / int64(periodLength)
	if period != l.swept {
		l.swept = period
		for key, w := range l.flows {
			if period-w.period > 1 {
				delete(l.flows, key)
			}
		}
		for key, w := range l.bands {
			if period-w.period > 1 {
				delete(l.bands, key)
			}
		}
	}
	return period
}

// TurnTaken implements controller.Observer.
func (l *Log) TurnTaken(time.Duration, error) {}

// Totals returns the figures since the start.
func (l *Log) Totals() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Span is how long the figures of Bands and Flows reach back now.
func (l *Log) Span() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return min(now.Sub(l.begun), periodLength+time.Duration(now.UnixNano()%int64(periodLength)))
}

// Bands calls visit with the figures of every priority of late, in no order.
func (l *Log) Bands(visit func(priority int, c Counts)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	period := l.period()
	for priority, w := range l.bands {
		visit(priority, w.of(period))
	}
}

// Flows calls visit with the figures of every flow of late, in no order.
func (l *Log) Flows(visit func(flow policies.FlowKey, c Counts)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	period := l.period()
	for key, w := range l.flows {
		visit(key, w.of(period))
	}
}
