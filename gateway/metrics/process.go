package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/gateway/accesslog"
	"github.com/weirflow/weir/gateway/budget"
)

// answers are the metrics of all requests that are answered, also of those that found no
// pool.
type answers struct {
	codes      *prometheus.CounterVec
	refused    *prometheus.CounterVec
	overBounds *prometheus.CounterVec
}

func newAnswers(constant prometheus.Labels) *answers {
	counter := newCounters(constant)
	return &answers{
		codes:      counter("weir_http_requests_total", "HTTP requests answered, by status. 499 is a client that went away before its answer.", "code"),
		refused:    counter("weir_requests_refused_total", "Requests that the gateway ended itself, by the code of its answer, those included whose answer broke off.", "reason", "priority"),
		overBounds: counter("weir_requests_over_bound_total", "Requests that this replica ended for a bound on what one may take, by bound.", "bound"),
	}
}

func (a *answers) collectors() []prometheus.Collector {
	return []prometheus.Collector{a.codes, a.refused, a.overBounds}
}

func (a *answers) over(r *Request) {
	a.codes.WithLabelValues(strconv.Itoa(r.Status)).Inc()
	if r.Reason != "" {
		a.refused.WithLabelValues(r.Reason, strconv.Itoa(r.Flow.Priority)).Inc()
	}
}

// Process is the metrics of a process that are no pool's: of its configuration, of what its
// pools share, and of requests that found none. It implements prometheus.Collector; a nil
// Process counts nothing.
type Process struct {
	answers *answers // those of its only pool, if it has one alone, which then reports them
	alone   bool

	readable, readAt prometheus.Gauge // the configuration
	info             *prometheus.GaugeVec

	budget    *budget.Budget
	log       *accesslog.Log
	described map[string]*prometheus.Desc
}

// NewProcess returns the metrics of a process with one pool, whose metrics are given, or, if
// that is nil, with several.
func NewProcess(only *Pool) *Process {
	constant := prometheus.Labels{"inference_pool": ""}
	p := &Process{}
	if only != nil {
		constant = only.constant
		p.answers, p.alone = only.answers, true
	} else {
		p.answers = newAnswers(constant)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: constant})
	}
	p.readable = gauge("weir_config_last_reload_successful", "1 if the configuration is in effect as it was last tried, 0 if it was refused and the one before holds, or a pool of it could not be opened yet.")
	p.readAt = gauge("weir_config_last_reload_success_timestamp_seconds", "When the configuration in effect was read.")
	p.info = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "weir_config_info", ConstLabels: constant,
		Help: "1; its label is a fingerprint of the settings that should be the same at all replicas of a pool.",
	}, []string{"fingerprint"})
	p.described = describe(constant, []description{
		{name: "memory_budget_bytes", help: "Memory that requests may take which are being read or wait at this replica."},
		{name: "memory_budget_used_bytes", help: "Memory that requests take which are being read or wait at this replica."},
		{name: "access_log_lines_lost_total", help: "Lines of the request log that were not written, since its reader has gone or does not keep up, or its disk is full."},
	})
	return p
}

// Watch makes the metrics report the budget and the request log at every scrape; either may be
// nil.
func (p *Process) Watch(b *budget.Budget, log *accesslog.Log) {
	if p != nil {
		p.budget, p.log = b, log
	}
}

// ConfigRead notes that a configuration with that fingerprint is in effect, which was read then.
func (p *Process) ConfigRead(fingerprint string, at time.Time) {
	p.readAt.Set(float64(at.UnixMilli()) / 1000)
	p.info.Reset()
	p.info.WithLabelValues(fingerprint).Set(1)
}

// ConfigInEffect notes whether all of the configuration is in effect, as it was last read.
func (p *Process) ConfigInEffect(whole bool) {
	value := 0.0
	if whole {
		value = 1
	}
	p.readable.Set(value)
}

// Over counts a request that is over and found no pool.
func (p *Process) Over(r *Request) {
	if p != nil {
		p.answers.over(r)
	}
}

// OverBound counts a request without a pool that went beyond a bound.
func (p *Process) OverBound(name string) {
	if p != nil {
		p.answers.overBounds.WithLabelValues(name).Inc()
	}
}

func (p *Process) collectors() []prometheus.Collector {
	all := []prometheus.Collector{p.readable, p.readAt, p.info}
	if !p.alone {
		all = append(all, p.answers.collectors()...)
	}
	return all
}

// Describe implements prometheus.Collector.
func (p *Process) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range p.collectors() {
		c.Describe(ch)
	}
	for _, d := range p.described {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (p *Process) Collect(ch chan<- prometheus.Metric) {
	for _, c := range p.collectors() {
		c.Collect(ch)
	}
	if p.budget != nil {
		most, used := p.budget.Figures()
		ch <- prometheus.MustNewConstMetric(p.described["memory_budget_bytes"], prometheus.GaugeValue, float64(most))
		ch <- prometheus.MustNewConstMetric(p.described["memory_budget_used_bytes"], prometheus.GaugeValue, float64(used))
	}
	if p.log != nil {
		ch <- prometheus.MustNewConstMetric(p.described["access_log_lines_lost_total"], prometheus.CounterValue, float64(p.log.Lost()))
	}
}
