// Package metrics is the Prometheus metrics of a replica: of its pools, and of the process
// that they are in.
package metrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/policies"
)

// Pool is the metrics of one pool. It implements controller.Observer and
// prometheus.Collector; a nil Pool counts nothing.
type Pool struct {
	constant prometheus.Labels
	answers  *answers
	requests *requests
	labels   *flowLabels

	outcomes    *prometheus.CounterVec
	waits       *prometheus.HistogramVec
	turns       prometheus.Histogram
	failures    prometheus.Counter
	revocations *prometheus.CounterVec
	fallbacks   prometheus.Counter
	unknown     prometheus.Counter
	fresh       prometheus.Counter
	decided     sync.Map // decisionKey → decision

	// What is read at each scrape.
	described  map[string]*prometheus.Desc
	controller *controller.Controller
	endpoints  *endpoints.Pool
	table      *flows.Table
}

type decisionKey struct {
	flow    policies.FlowKey
	outcome controller.Outcome
}

// decision is the metrics one kind of decision goes to.
type decision struct {
	count prometheus.Counter
	wait  prometheus.Observer
}

// newCounters returns a function that makes counters with constant labels.
func newCounters(constant prometheus.Labels) func(name, help string, labels ...string) *prometheus.CounterVec {
	return func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: constant}, labels)
	}
}

// NewPool returns the metrics of the pool of that name.
func NewPool(name string) *Pool {
	constant := prometheus.Labels{"inference_pool": name}
	counter := newCounters(constant)
	single := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: constant})
	}
	m := &Pool{
		constant: constant, answers: newAnswers(constant), requests: newRequests(constant), described: describe(constant, ofPool),
		outcomes: counter("weir_flow_control_requests_total", "Requests whose wait in flow control ended, by outcome and priority.", "outcome", "priority"),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_flow_control_request_queue_duration_seconds", ConstLabels: constant,
			Help:    "Time that requests waited in flow control, by outcome.",
			Buckets: []float64{.0005, .001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60},
		}, []string{"fairness_id", "priority", "outcome"}),
		turns: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_ledger_turn_duration_seconds", ConstLabels: constant,
			Help:    "Duration of turns: exchanges of this replica with the ledger.",
			Buckets: []float64{.000005, .00002, .0001, .0003, .001, .003, .01, .05, .2, .5},
		}),
		failures:    single("weir_ledger_turn_failures_total", "Turns with the ledger that failed."),
		revocations: counter("weir_flow_control_revocations_total", "Requests in flight that were revoked for a higher priority: refused (status 429 before the answer began) or cut_off (the answer broke off).", "outcome"),
		fallbacks:   single("weir_endpoint_fallbacks_total", "Requests served by a fallback endpoint instead of the first choice, as reported by Envoy."),
		unknown:     single("weir_requests_undeclared_objective_total", "Requests that named an objective which nobody declared."),
		fresh:       single("weir_flow_control_fresh_flows_total", "Requests under an id that this replica had not seen, without a setting or an API key. Where these are many, see weir.newcomers."),
	}
	m.labels = newFlowLabels(m.forget)
	return m
}

// WatchEndpoints makes the metrics report the pool's endpoints at every scrape.
func (m *Pool) WatchEndpoints(p *endpoints.Pool) { m.endpoints = p }

// Watch makes the metrics report the controller's state at every scrape.
func (m *Pool) Watch(c *controller.Controller) { m.controller = c }

// WatchFlows makes the metrics report the requests in flight of each flow at every scrape.
func (m *Pool) WatchFlows(t *flows.Table) {
	if m != nil {
		m.table = t
	}
}

// FlowLabel is the value of a label for a flow's id; of too many, "other". It is safe for
// concurrent use.
func (m *Pool) FlowLabel(id string) string {
	if m == nil {
		return other
	}
	return m.labels.of(id)
}

// forget drops the series of flows.
func (m *Pool) forget(gone map[string]bool) {
	for id := range gone {
		m.waits.DeletePartialMatch(prometheus.Labels{"fairness_id": id})
	}
	m.decided.Range(func(key, _ any) bool {
		if gone[key.(decisionKey).flow.ID] {
			m.decided.Delete(key)
		}
		return true
	})
	m.requests.forget(gone)
}

// Revoked counts a request that was revoked, before or after its answer began.
func (m *Pool) Revoked(begun bool) {
	if m == nil {
		return
	}
	outcome := "refused"
	if begun {
		outcome = "cut_off"
	}
	m.revocations.WithLabelValues(outcome).Inc()
}

// FellBack counts a request that was answered by a fallback endpoint.
func (m *Pool) FellBack() {
	if m != nil {
		m.fallbacks.Inc()
	}
}

// OverBound counts a request that went beyond a bound.
func (m *Pool) OverBound(name string) {
	if m != nil {
		m.answers.overBounds.WithLabelValues(name).Inc()
	}
}

// FreshFlow counts a request of a flow that this replica had not seen.
func (m *Pool) FreshFlow() {
	if m != nil {
		m.fresh.Inc()
	}
}

// Undeclared counts a request that named an objective which nobody declared.
func (m *Pool) Undeclared() {
	if m != nil {
		m.unknown.Inc()
	}
}

// Decided implements controller.Observer.
func (m *Pool) Decided(flow policies.FlowKey, outcome controller.Outcome, waited time.Duration, trace string) {
	flow.ID = m.FlowLabel(flow.ID)
	key := decisionKey{flow, outcome}
	d, ok := m.decided.Load(key)
	if !ok {
		priority := strconv.Itoa(flow.Priority)
		d, _ = m.decided.LoadOrStore(key, decision{
			count: m.outcomes.WithLabelValues(outcome.String(), priority),
			wait:  m.waits.WithLabelValues(flow.ID, priority, outcome.String()),
		})
	}
	d.(decision).count.Inc()
	observe(d.(decision).wait, waited.Seconds(), trace)
}

// TurnTaken implements controller.Observer.
func (m *Pool) TurnTaken(took time.Duration, err error) {
	m.turns.Observe(took.Seconds())
	if err != nil {
		m.failures.Inc()
	}
}
