package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// Admin is the handler of the admin address. Everything on it is for operators:
// keep it off public networks.
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

// SetReady says what /readyz answers.
func (a *Admin) SetReady(ready bool) { a.ready.Store(ready) }

// PoolStatus is the answer of /v1/pool.
type PoolStatus struct {
	Replica string `json:"replica"`
	// Limit is how many requests the pool takes in flight; null for no limit.
	Limit      *int64  `json:"limit"`
	InFlight   int64   `json:"in_flight"`
	Queued     int64   `json:"queued"`
	Saturation float64 `json:"saturation"`
	Endpoints  int     `json:"endpoints"`
	Ledger     struct {
		State      core.LedgerState `json:"state"`
		Generation uint64           `json:"generation"`
		Members    int              `json:"members"`
	} `json:"ledger"`
}

// FlowStatus is one element of the answer of /v1/flows. Queued and Counter are those of
// flows that the answering replica owns; InFlight and what was served are of the requests
// that came in by it.
type FlowStatus struct {
	ID             string  `json:"id"`
	Priority       int     `json:"priority"`
	Weight         float64 `json:"weight"`
	Queued         int64   `json:"queued"`
	InFlight       int64   `json:"in_flight"`
	ServedRequests int64   `json:"served_requests"`
	ServedTokens   int64   `json:"served_tokens"`
	Counter        float64 `json:"counter"`
}

// NewAdmin returns the admin handler of a gateway; metrics come from the
// gatherer.
func NewAdmin(g *Gateway, replica string, metrics prometheus.Gatherer) *Admin {
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
	mux.HandleFunc("GET /v1/pool", g.answerView(func(v core.View) any { return poolStatus(replica, v) }))
	mux.HandleFunc("GET /v1/flows", g.answerView(func(v core.View) any { return g.flowStatus(v) }))
	mux.HandleFunc("GET /v1/endpoints", func(w http.ResponseWriter, _ *http.Request) {
		all := make([]endpoints.Status, 0)
		for _, e := range g.endpoints.Endpoints() {
			all = append(all, e.Status())
		}
		answerJSON(w, all)
	})
	mux.HandleFunc("GET /v1/replicas", g.answerView(func(v core.View) any { return replicaStatus(replica, g.cfg.Version, v) }))
	mux.HandleFunc("GET /v1/shards", g.answerView(func(v core.View) any { return shardsStatus(v) }))
	return a
}

// answerView answers with the function's view of the controller's state.
func (g *Gateway) answerView(of func(core.View) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := g.cfg.Controller.View(r.Context())
		if err != nil {
			answerText(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answerJSON(w, of(v))
	}
}

func poolStatus(replica string, v core.View) PoolStatus {
	s := PoolStatus{
		Replica: replica, InFlight: v.Totals.InFlight, Queued: v.Totals.Queued,
		Saturation: v.Saturation(), Endpoints: v.Pool.Endpoints,
	}
	if v.Pool.Limit < store.Unlimited {
		s.Limit = &v.Pool.Limit
	}
	s.Ledger.State, s.Ledger.Generation, s.Ledger.Members = v.Ledger, v.Generation, v.Totals.Members
	return s
}

// flowStatus joins what the queues and the gateway know of each flow.
func (g *Gateway) flowStatus(v core.View) []FlowStatus {
	byKey := make(map[policies.FlowKey]*FlowStatus)
	get := func(key policies.FlowKey) *FlowStatus {
		s := byKey[key]
		if s == nil {
			s = &FlowStatus{ID: key.ID, Priority: key.Priority, Weight: 1}
			byKey[key] = s
		}
		return s
	}
	for _, f := range v.Flows {
		s := get(f.Key)
		s.Weight, s.Queued, s.Counter = f.Weight, f.Requests, f.Counter
	}
	g.flows.each(func(key policies.FlowKey, e flowEntry) {
		s := get(key)
		s.InFlight, s.ServedRequests, s.ServedTokens = e.inFlight, e.requests, e.tokens
	})
	flows := make([]FlowStatus, 0, len(byKey))
	for _, s := range byKey {
		flows = append(flows, *s)
	}
	slices.SortFunc(flows, func(a, b FlowStatus) int {
		if a.Priority != b.Priority {
			return b.Priority - a.Priority
		}
		return strings.Compare(a.ID, b.ID)
	})
	return flows
}

func answerText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client may be gone
}
