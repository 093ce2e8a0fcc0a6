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

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
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

// NewAdmin returns the admin handler of a gateway; metrics come from the
// gatherer.
func NewAdmin(g *Gateway, metrics prometheus.Gatherer) *Admin {
	mux := http.NewServeMux()
	a := &Admin{Handler: mux, mux: mux, stuckAfter: 5 * time.Second}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.stuckAfter)
		defer cancel()
		if err := g.cfg.Controller.Responsive(ctx); errors.Is(err, context.DeadlineExceeded) {
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
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return a
}

func answerText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

// FlowFigures are what the requests of a flow come to that came in by this replica.
type FlowFigures struct {
	InFlight int64
	// ServedRequests have ended, and cost ServedTokens together.
	ServedRequests, ServedTokens int64
}

// Flows calls visit for every flow that this replica remembers, in no order.
func (g *Gateway) Flows(visit func(policies.FlowKey, FlowFigures)) {
	g.flows.each(func(key policies.FlowKey, e flowEntry) {
		visit(key, FlowFigures{InFlight: e.inFlight, ServedRequests: e.requests, ServedTokens: e.tokens})
	})
}

// Controller returns the gateway's flow controller.
func (g *Gateway) Controller() *controller.Controller { return g.cfg.Controller }
