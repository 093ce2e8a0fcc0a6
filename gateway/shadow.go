package gateway

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/controller"
)

// shadow plays flow control beside what runs. Requests go at once; each is put before the
// controller as well, and once it was granted there it holds its slot for as long as the
// request took. It is safe for concurrent use.
type shadow struct {
	controller *controller.Controller

	mu      sync.Mutex
	on      bool
	ctx     context.Context //nolint:containedctx // what is played ends with it
	stop    context.CancelFunc
	playing sync.WaitGroup

	state    prometheus.Gauge
	outcomes *prometheus.CounterVec
	waits    *prometheus.HistogramVec
}

func newShadow(c *controller.Controller) *shadow {
	constant := prometheus.Labels{"shadow": "true"}
	s := &shadow{
		controller: c,
		state:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_shadow", Help: "1 while nothing is held or refused, and what would have been done is counted instead."}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_shadow_requests_total", ConstLabels: constant, Help: "Requests that went at once, by what flow control would have done with them.",
		}, []string{"priority", "outcome"}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_shadow_wait_seconds", ConstLabels: constant, Help: "Time that flow control would have held requests that went at once.",
			Buckets: []float64{.0005, .001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60},
		}, []string{"priority", "outcome"}),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// set turns it on or off. What is played ends when it is turned off.
func (s *shadow) set(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on == on {
		return
	}
	s.stop()
	s.on = on
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.state.Set(map[bool]float64{true: 1}[on])
}

// end ends what is played, and plays no more; requests still go at once if it is on.
func (s *shadow) end() {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	s.playing.Wait()
}

// isOn reports whether requests go at once.
func (s *shadow) isOn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

// play is what is played of one request.
type play struct{ ended chan outturn }

// outturn is how a request ended that went at once.
type outturn struct {
	usage controller.Usage
	held  time.Duration // how long it took
}

// begin plays a request; nil if that is not on any more.
func (s *shadow) begin(r *controller.Request) *play {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil
	}
	ctx, p := s.ctx, &play{ended: make(chan outturn, 1)}
	s.playing.Go(func() { s.run(ctx, r, p) })
	return p
}

// finish tells how the request ended.
func (p *play) finish(usage controller.Usage, held time.Duration) {
	if p != nil {
		p.ended <- outturn{usage, held}
	}
}

// run plays one request to its end.
func (s *shadow) run(ctx context.Context, r *controller.Request, p *play) {
	began := time.Now()
	outcome, _ := s.controller.EnqueueAndWait(ctx, r) //nolint:errcheck // the outcome says it
	granted := time.Now()
	if ctx.Err() != nil && outcome != controller.Dispatched {
		return // nothing was decided
	}
	labels := []string{strconv.Itoa(r.Flow.Priority), outcome.String()}
	s.outcomes.WithLabelValues(labels...).Inc()
	s.waits.WithLabelValues(labels...).Observe(granted.Sub(began).Seconds())
	if outcome != controller.Dispatched {
		return
	}
	var e outturn
	defer func() { s.controller.Release(r, e.usage) }()
	select {
	case e = <-p.ended:
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
func (s *shadow) Describe(out chan<- *prometheus.Desc) {
	s.state.Describe(out)
	s.outcomes.Describe(out)
	s.waits.Describe(out)
}

// Collect implements prometheus.Collector.
func (s *shadow) Collect(out chan<- prometheus.Metric) {
	s.state.Collect(out)
	s.outcomes.Collect(out)
	s.waits.Collect(out)
}
