package admin

import (
	"context"
	"errors"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// AddressConfig describes what a process answers on its admin address.
type AddressConfig struct {
	// Responsive returns in time as long as the process is healthy, as
	// [controller.Controller.Responsive] does: within StuckAfter, 5 s by default.
	Responsive func(context.Context) error
	StuckAfter time.Duration
	// Metrics are served; with Exemplars, also in the OpenMetrics format, which has them.
	Metrics   prometheus.Gatherer
	Exemplars bool
}

// Address is the handler of the admin address: probes, metrics, and what is mounted on it.
// Everything on it is for operators: keep it off public networks.
type Address struct {
	http.Handler
	mux   *http.ServeMux
	ready atomic.Bool
}

// ServeProfiles adds the profiles of the process, at /debug/pprof/, before it serves. They
// show what requests hold, and taking one takes time from them.
func (a *Address) ServeProfiles() {
	a.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	a.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	a.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// Mount adds what answers all other paths, before it serves.
func (a *Address) Mount(rest http.Handler) { a.mux.Handle("/", rest) }

// SetReady says what /readyz answers.
func (a *Address) SetReady(ready bool) { a.ready.Store(ready) }

// NewAddress returns the handler of an admin address.
func NewAddress(cfg AddressConfig) *Address {
	if cfg.StuckAfter <= 0 {
		cfg.StuckAfter = 5 * time.Second
	}
	mux := http.NewServeMux()
	a := &Address{Handler: mux, mux: mux}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), cfg.StuckAfter)
		defer cancel()
		if err := cfg.Responsive(ctx); errors.Is(err, context.DeadlineExceeded) {
			answerText(w, http.StatusServiceUnavailable, "stuck: flow control takes nothing in")
			return
		}
		answerText(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if a.ready.Load() {
			answerText(w, http.StatusOK, "ready")
			return
		}
		answerText(w, http.StatusServiceUnavailable, "not ready: starting or draining")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{EnableOpenMetrics: cfg.Exemplars}))
	return a
}

func answerText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
