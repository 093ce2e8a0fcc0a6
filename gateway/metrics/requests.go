package metrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/gateway/modelapi"
	"github.com/weirflow/weir/policies"
)

// requests are the metrics of requests that are over. It is safe for concurrent use.
type requests struct {
	tokens   *prometheus.CounterVec
	slots    *prometheus.CounterVec
	first    *prometheus.HistogramVec
	interval *prometheus.HistogramVec
	duration *prometheus.HistogramVec
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

func newRequests(constant prometheus.Labels) *requests {
	counter := newCounters(constant)
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, ConstLabels: constant, Buckets: buckets}, []string{"model_name", "priority"})
	}
	return &requests{
		tokens:   counter("weir_tokens_total", "Tokens of requests that are over, as model servers counted them: in (prompts), cached (the part of them that was in a cache), out (answers).", "fairness_id", "priority", "direction"),
		slots:    counter("weir_slot_seconds_total", "Time for which requests that are over held slots of the pool.", "fairness_id", "priority"),
		upstream: counter("weir_endpoint_errors_total", "Failures of model servers: unreachable, no_answer (in time), stalled (within an answer), broke_off, status_5xx.", "endpoint", "kind"),
		first:    histogram("weir_request_first_token_seconds", "Time from the arrival of a request to the first part of its answer.", []float64{.01, .03, .1, .2, .5, 1, 2, 5, 10, 20, 60, 180}),
		interval: histogram("weir_request_token_interval_seconds", "Mean time between the tokens of a request's answer.", []float64{.002, .005, .01, .02, .03, .05, .075, .1, .2, .5, 1}),
		duration: histogram("weir_request_duration_seconds", "Time from the arrival of a request that a model server answered to the end of its answer.", []float64{.01, .05, .2, .5, 1, 2, 5, 10, 30, 60, 180, 600}),
		models:   boundedLabel{most: maxModelLabels}, servers: boundedLabel{most: maxEndpointLabels},
	}
}

func (m *requests) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.tokens, m.slots, m.upstream, m.first, m.interval, m.duration}
}

// forget drops the series of flows.
func (m *requests) forget(gone map[string]bool) {
	for id := range gone {
		m.tokens.DeletePartialMatch(prometheus.Labels{"fairness_id": id})
		m.slots.DeletePartialMatch(prometheus.Labels{"fairness_id": id})
	}
	m.ofFlow.Range(func(key, _ any) bool {
		if gone[key.(policies.FlowKey).ID] {
			m.ofFlow.Delete(key)
		}
		return true
	})
}

// flow returns the counters of a flow, whose id is a label's value.
func (m *requests) flow(key policies.FlowKey) *flowCounters {
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

func (m *requests) model(model string, priority int) *modelHistograms {
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

// Request is a request that is over, as it is counted.
type Request struct {
	// Flow is the one that it counted for, as far as it was known, and Model the model that it
	// asked for.
	Flow  policies.FlowKey
	Model string
	// Arrived is when it came, and Held how long it held its slot; 0 if it had none.
	Arrived time.Time
	Held    time.Duration
	// Tokens are what its answer said of them.
	Tokens modelapi.Tokens
	// Status is that of its answer, and Reason why the gateway ended it, empty if it did not.
	Status int
	Reason string
	// Trace is the id of its trace, if that is kept.
	Trace string
}

// Over counts a request that is over now.
func (m *Pool) Over(r *Request) {
	if m == nil {
		return
	}
	m.answers.over(r)
	if r.Held == 0 {
		return
	}
	c := m.requests.flow(policies.FlowKey{ID: m.FlowLabel(r.Flow.ID), Priority: r.Flow.Priority})
	c.slots.Add(r.Held.Seconds())
	if r.Tokens.Known {
		c.in.Add(float64(r.Tokens.In))
		c.cached.Add(float64(r.Tokens.Cached))
		c.out.Add(float64(r.Tokens.Out))
	}
	if r.Tokens.First.IsZero() || r.Reason != "" {
		return
	}
	now := time.Now()
	h := m.requests.model(r.Model, r.Flow.Priority)
	observe(h.first, r.Tokens.First.Sub(r.Arrived).Seconds(), r.Trace)
	observe(h.duration, now.Sub(r.Arrived).Seconds(), r.Trace)
	if r.Tokens.Streamed && r.Tokens.Out > 1 {
		observe(h.interval, now.Sub(r.Tokens.First).Seconds()/float64(r.Tokens.Out-1), r.Trace)
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

// Failure is a kind of failure of a model server.
type Failure string

// The kinds there are.
const (
	Unreachable Failure = "unreachable"
	NoAnswer    Failure = "no_answer"
	Stalled     Failure = "stalled"
	BrokeOff    Failure = "broke_off"
	Status5xx   Failure = "status_5xx"
)

// UpstreamFailed counts a failure of a model server.
func (m *Pool) UpstreamFailed(endpoint string, kind Failure) {
	if m != nil {
		m.requests.upstream.WithLabelValues(m.requests.servers.of(endpoint), string(kind)).Inc()
	}
}
