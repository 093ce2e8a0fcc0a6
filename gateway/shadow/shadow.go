// Package shadow plays flow control beside what runs, and tells what it would have done.
package shadow

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// Shadow plays flow control beside what runs. Requests go at once; each is put before the
// controller as well, and once it was granted there it holds its slot for as long as the
// request took. It is safe for concurrent use.
type Shadow struct {
	controller *controller.Controller

	mu      sync.Mutex
	on      bool
	ctx     context.Context //nolint:containedctx // what is played ends with it
	stop    context.CancelFunc
	playing sync.WaitGroup
	report  Report                     // of the time for which it is or last was on
	holds   map[policies.FlowKey]int64 // how many slots each flow's requests have as played

	label    func(flow string) string // bounds the label of flows
	state    prometheus.Gauge
	outcomes *prometheus.CounterVec
	waits    *prometheus.HistogramVec
}

// New returns a shadow of requests that the controller is to play, which is off. The function
// bounds the label of flows.
func New(c *controller.Controller, label func(flow string) string) *Shadow {
	constant := prometheus.Labels{"shadow": "true"}
	s := &Shadow{
		controller: c, label: label, holds: make(map[policies.FlowKey]int64),
		state: prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_shadow", Help: "1 while nothing is held or refused, and what would have been done is counted instead."}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_shadow_requests_total", ConstLabels: constant, Help: "Requests that went at once, by what flow control would have done with them.",
		}, []string{"fairness_id", "priority", "outcome"}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_shadow_wait_seconds", ConstLabels: constant, Help: "Time that flow control would have held requests that went at once.",
			Buckets: []float64{.0005, .001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60},
		}, []string{"priority", "outcome"}),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.stop()
	return s
}

// Set turns it on or off. What is played has ended when it is off.
func (s *Shadow) Set(on bool) {
	s.mu.Lock()
	changed := s.on != on
	switch s.on = on; {
	case changed && on:
		s.report = Report{Since: time.Now()}
		s.ctx, s.stop = context.WithCancel(context.Background())
	case changed:
		s.report.Until = time.Now()
		s.stop()
	}
	s.state.Set(map[bool]float64{true: 1}[on])
	s.mu.Unlock()
	if changed && !on {
		s.playing.Wait()
	}
}

// Slots is how many slots a flow's requests have as played, and whether they only do.
func (s *Shadow) Slots(flow policies.FlowKey) (slots int64, played bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds[flow], s.on
}

// hold notes that a flow's request got a slot, as played, or gave it back.
func (s *Shadow) hold(flow policies.FlowKey, change int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds[flow] += change; s.holds[flow] == 0 {
		delete(s.holds, flow)
	}
}

// End ends what is played, and plays no more; requests still go at once if it is on.
func (s *Shadow) End() {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	s.playing.Wait()
}

// On reports whether requests go at once.
func (s *Shadow) On() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

// Report is the report until now.
func (s *Shadow) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	if r.On, r.Flows = s.on, maps.Clone(r.Flows); r.On {
		r.Until = time.Now()
	}
	return r
}

// note changes a flow's figures, while what is played still counts.
func (s *Shadow) note(ctx context.Context, flow policies.FlowKey, change func(*Figures)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil {
		s.report.of(flow, change)
	}
}

// Play is what is played of one request.
type Play struct {
	shadow *Shadow
	ctx    context.Context //nolint:containedctx // what is played ends with it
	flow   policies.FlowKey
	ended  chan outturn
}

// outturn is how a request ended that went at once.
type outturn struct {
	usage controller.Usage
	held  time.Duration // how long it took
}

// Begin plays a request; nil if that is not on any more.
func (s *Shadow) Begin(r *controller.Request) *Play {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil
	}
	p := &Play{shadow: s, ctx: s.ctx, flow: r.Flow, ended: make(chan outturn, 1)}
	s.report.of(r.Flow, func(f *Figures) { f.Requests++ })
	s.playing.Go(func() { p.run(r) })
	return p
}

// Finish tells how the request ended.
func (p *Play) Finish(usage controller.Usage, held time.Duration) {
	if p != nil {
		p.shadow.note(p.ctx, p.flow, func(f *Figures) { f.Held += held })
		p.ended <- outturn{usage, held}
	}
}

// run plays the request to its end.
func (p *Play) run(r *controller.Request) {
	s, ctx, began := p.shadow, p.ctx, time.Now()
	outcome, _ := s.controller.EnqueueAndWait(ctx, r) //nolint:errcheck // the outcome says it
	granted := time.Now()
	if ctx.Err() != nil && outcome != controller.Dispatched {
		return // nothing was decided
	}
	waited := granted.Sub(began)
	priority := strconv.Itoa(r.Flow.Priority)
	s.outcomes.WithLabelValues(s.label(r.Flow.ID), priority, outcome.String()).Inc()
	s.waits.WithLabelValues(priority, outcome.String()).Observe(waited.Seconds())
	s.note(ctx, p.flow, func(f *Figures) { f.decided(outcome, waited) })
	if outcome != controller.Dispatched {
		return
	}
	var e outturn
	s.hold(p.flow, 1)
	defer func() {
		s.hold(p.flow, -1)
		s.controller.Release(r, e.usage)
	}()
	select {
	case e = <-p.ended:
		s.note(ctx, p.flow, func(f *Figures) { f.Granted += e.held })
	case <-r.Revoked():
		return
	case <-ctx.Done():
		return
	}
	rest := time.NewTimer(e.held - time.Since(granted))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-r.Revoked():
	case <-ctx.Done():
	}
}

// Describe implements prometheus.Collector.
func (s *Shadow) Describe(out chan<- *prometheus.Desc) {
	s.state.Describe(out)
	s.outcomes.Describe(out)
	s.waits.Describe(out)
}

// Collect implements prometheus.Collector.
func (s *Shadow) Collect(out chan<- prometheus.Metric) {
	s.state.Collect(out)
	s.outcomes.Collect(out)
	s.waits.Collect(out)
}
