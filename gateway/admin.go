package gateway

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

// Admin is the handler of the admin address: probes, metrics, and what is mounted on it.
// Everything on it is for operators: keep it off public networks.
type Admin struct {
	http.Handler
	mux        *http.ServeMux
	ready      atomic.Bool
	stuckAfter time.Duration
}

// ServeProfiles adds the profiles of the process, at /debug/pprof/, before it serves. They
// show what requests hold, and taking one takes time from them.
func (a *Admin) ServeProfiles() {
	a.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	a.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	a.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// Mount adds what answers all other paths, before it serves.
func (a *Admin) Mount(rest http.Handler) { a.mux.Handle("/", rest) }

// SetReady says what /readyz answers.
func (a *Admin) SetReady(ready bool) { a.ready.Store(ready) }

// NewAdmin returns the admin handler of a process, which is healthy as long as responsive
// returns in time, as [controller.Controller.Responsive] does; metrics come from the gatherer. With
// exemplars, they are also served in the OpenMetrics format, which has them.
func NewAdmin(responsive func(context.Context) error, metrics prometheus.Gatherer, exemplars bool) *Admin {
	mux := http.NewServeMux()
	a := &Admin{Handler: mux, mux: mux, stuckAfter: 5 * time.Second}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.stuckAfter)
		defer cancel()
		if err := responsive(ctx); errors.Is(err, context.DeadlineExceeded) {
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
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{EnableOpenMetrics: exemplars}))
	return a
}

func answerText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
