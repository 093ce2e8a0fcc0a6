package gateway

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/policies"
)

// requestMetrics are the metrics of requests that are over. It is safe for concurrent use.
type requestMetrics struct {
	tokens   *prometheus.CounterVec
	slots    *prometheus.CounterVec
	first    *prometheus.HistogramVec
	interval *prometheus.HistogramVec
	duration *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	upstream *prometheus.CounterVec
	models   boundedLabel
	servers  boundedLabel

	ofFlow  sync.Map // policies.FlowKey → *flowCounters
	ofModel sync.Map // modelKey → *modelHistograms
}

// Bounds on the values of labels that are not flows. Those beyond share "other".
const (
	maxModelLabels    = 50
	maxEndpointLabels = 1000
)

type flowCounters struct{ in, cached, out, slots prometheus.Counter }

type modelKey struct {
	model    string
	priority int
}

type modelHistograms struct{ first, interval, duration prometheus.Observer }

func newRequestMetrics(constant prometheus.Labels) *requestMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: constant}, labels)
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, ConstLabels: constant, Buckets: buckets}, []string{"model_name", "priority"})
	}
	return &requestMetrics{
		tokens:   counter("weir_tokens_total", "Tokens of requests that are over, as model servers counted them: in (prompts), cached (the part of them that was in a cache), out (answers).", "fairness_id", "priority", "direction"),
		slots:    counter("weir_slot_seconds_total", "Time for which requests that are over held slots of the pool.", "fairness_id", "priority"),
		refused:  counter("weir_requests_refused_total", "Requests that the gateway ended itself, by the code of its answer, those included whose answer broke off.", "reason", "priority"),
		upstream: counter("weir_endpoint_errors_total", "Failures of model servers: unreachable, no_answer (in time), stalled (within an answer), broke_off, status_5xx.", "endpoint", "kind"),
		first:    histogram("weir_request_first_token_seconds", "Time from the arrival of a request to the first part of its answer.", []float64{.01, .03, .1, .2, .5, 1, 2, 5, 10, 20, 60, 180}),
		interval: histogram("weir_request_token_interval_seconds", "Mean time between the tokens of a request's answer.", []float64{.002, .005, .01, .02, .03, .05, .075, .1, .2, .5, 1}),
		duration: histogram("weir_request_duration_seconds", "Time from the arrival of a request that a model server answered to the end of its answer.", []float64{.01, .05, .2, .5, 1, 2, 5, 10, 30, 60, 180, 600}),
		models:   boundedLabel{most: maxModelLabels}, servers: boundedLabel{most: maxEndpointLabels},
	}
}

func (m *requestMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.tokens, m.slots, m.refused, m.upstream, m.first, m.interval, m.duration}
}

// forget drops the series of a flow.
func (m *requestMetrics) forget(id string) {
	m.tokens.DeletePartialMatch(prometheus.Labels{"fairness_id": id})
	m.slots.DeletePartialMatch(prometheus.Labels{"fairness_id": id})
	m.ofFlow.Range(func(key, _ any) bool {
		if key.(policies.FlowKey).ID == id {
			m.ofFlow.Delete(key)
		}
		return true
	})
}

// flow returns the counters of a flow, whose id is a label's value.
func (m *requestMetrics) flow(key policies.FlowKey) *flowCounters {
	if c, ok := m.ofFlow.Load(key); ok {
		return c.(*flowCounters)
	}
	priority := strconv.Itoa(key.Priority)
	c, _ := m.ofFlow.LoadOrStore(key, &flowCounters{
		in: m.tokens.WithLabelValues(key.ID, priority, "in"), cached: m.tokens.WithLabelValues(key.ID, priority, "cached"),
		out: m.tokens.WithLabelValues(key.ID, priority, "out"), slots: m.slots.WithLabelValues(key.ID, priority),
	})
	return c.(*flowCounters)
}

func (m *requestMetrics) model(model string, priority int) *modelHistograms {
	key := modelKey{m.models.of(model), priority}
	if h, ok := m.ofModel.Load(key); ok {
		return h.(*modelHistograms)
	}
	labels := []string{key.model, strconv.Itoa(priority)}
	h, _ := m.ofModel.LoadOrStore(key, &modelHistograms{
		m.first.WithLabelValues(labels...), m.interval.WithLabelValues(labels...), m.duration.WithLabelValues(labels...),
	})
	return h.(*modelHistograms)
}

// over takes in a request that is over now.
func (m *Metrics) over(r *record, status int) {
	if m == nil {
		return
	}
	m.answers.WithLabelValues(strconv.Itoa(status)).Inc()
	q := m.requests
	if r.reason != "" {
		q.refused.WithLabelValues(r.reason, strconv.Itoa(r.flow.Priority)).Inc()
	}
	if r.held == 0 {
		return
	}
	c := q.flow(policies.FlowKey{ID: m.flowLabel(r.flow.ID), Priority: r.flow.Priority})
	c.slots.Add(r.held.Seconds())
	if r.tokens.Known {
		c.in.Add(float64(r.tokens.In))
		c.cached.Add(float64(r.tokens.Cached))
		c.out.Add(float64(r.tokens.Out))
	}
	if r.tokens.First.IsZero() || r.reason != "" {
		return
	}
	now := time.Now()
	h := q.model(r.model, r.flow.Priority)
	trace := r.spans.Sampled()
	observe(h.first, r.tokens.First.Sub(r.arrived).Seconds(), trace)
	observe(h.duration, now.Sub(r.arrived).Seconds(), trace)
	if r.tokens.Streamed && r.tokens.Out > 1 {
		observe(h.interval, now.Sub(r.tokens.First).Seconds()/float64(r.tokens.Out-1), trace)
	}
}

// observe adds to a histogram, with the trace as an exemplar if there is one.
func observe(o prometheus.Observer, seconds float64, trace string) {
	if e, ok := o.(prometheus.ExemplarObserver); ok && trace != "" {
		e.ObserveWithExemplar(seconds, prometheus.Labels{"trace_id": trace})
		return
	}
	o.Observe(seconds)
}

// upstreamFailed counts a failure of a model server.
func (m *Metrics) upstreamFailed(endpoint, kind string) {
	if m != nil {
		m.requests.upstream.WithLabelValues(m.requests.servers.of(endpoint), kind).Inc()
	}
}

// Kinds of failures of model servers.
const (
	unreachable = "unreachable"
	noAnswer    = "no_answer"
	stalled     = "stalled"
	brokeOff    = "broke_off"
	status5xx   = "status_5xx"
)

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
			return otherFlow
		}
		if b.values == nil {
			b.values = make(map[string]bool)
		}
		b.values[value] = true
	}
	return value
}
