package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
)

// Config describes a gateway.
type Config struct {
	// Controller decides when a request may go.
	Controller *controller.Controller
	// Endpoints says which model servers there are and how one is chosen. Whom it
	// tells of changes, and where it hears of other replicas' requests, is set here.
	Endpoints endpoints.Config
	// Tenants says whose a request is.
	Tenants Tenants
	// MaxBody is the largest body taken, in bytes; 32 MiB by default. Bodies of
	// waiting requests are held in memory.
	MaxBody int64
	// BodyTimeout is how long a client may take to send its body; 1 minute by
	// default.
	BodyTimeout time.Duration
	// DialTimeout is how long a connection to a model server may take; 2 s by
	// default. Another endpoint is tried after it.
	DialTimeout time.Duration
	// Fallbacks is how many endpoints Envoy is told beside the one picked, to turn to
	// when that cannot be reached. Its override_host policy takes several; a cluster
	// of type ORIGINAL_DST takes one, which is the default.
	Fallbacks int
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
	// Metrics counts answers; nil for none.
	Metrics *Metrics
}

// Gateway is an http.Handler that forwards requests to the pool when flow
// control lets them go. Close it after the server in front of it.
type Gateway struct {
	cfg       Config
	endpoints *endpoints.Pool
	proxy     *proxy
	flows     *flowTable
	tenants   atomic.Pointer[Tenants]
}

// New returns a gateway for the pool.
func New(cfg Config) *Gateway {
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = 32 << 20
	}
	if cfg.BodyTimeout <= 0 {
		cfg.BodyTimeout = time.Minute
	}
	if cfg.DialTimeout <= 0 {
		cfg.DialTimeout = 2 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	g := &Gateway{cfg: cfg, flows: newFlowTable()}
	g.SetTenants(cfg.Tenants)
	cfg.Endpoints.Logger, cfg.Endpoints.Others = cfg.Logger, cfg.Controller.Others
	cfg.Endpoints.Changed = func(usable []policies.EndpointAccessor) {
		cfg.Controller.Observe(context.Background(), usable)
	}
	g.endpoints = endpoints.New(cfg.Endpoints)
	g.proxy = newProxy(g, &net.Dialer{Timeout: cfg.DialTimeout, KeepAlive: 30 * time.Second})
	return g
}

// Observe tells the controller of the endpoints now.
func (g *Gateway) Observe() { g.endpoints.Tell() }

// Endpoints returns the pool's endpoints.
func (g *Gateway) Endpoints() *endpoints.Pool { return g.endpoints }

// Close ends the gateway's own goroutines and idle connections.
func (g *Gateway) Close() {
	g.endpoints.Close()
	g.proxy.transport.CloseIdleConnections()
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := &statusWriter{ResponseWriter: w}
	defer func() { g.cfg.Metrics.answered(status.code) }()
	if err := g.serve(status, r); err != nil {
		var refused *refusal
		if !errors.As(err, &refused) {
			refused = &refusal{status: http.StatusBadGateway, code: "upstream_failed", message: err.Error()}
		}
		if refused.status == statusClientGone {
			status.code = statusClientGone
			return
		}
		refused.write(status)
	}
}

// serve forwards the request when its turn comes, or says why not.
func (g *Gateway) serve(w *statusWriter, r *http.Request) error {
	if !strings.HasPrefix(r.URL.Path, "/v1/") && !strings.HasPrefix(r.URL.Path, "/inference/v1/") {
		return &refusal{
			status: http.StatusNotFound, code: "unknown_path",
			message: fmt.Sprintf("no such path: %.200s; the API is under /v1/", r.URL.Path),
		}
	}
	reading := http.NewResponseController(w)
	_ = reading.SetReadDeadline(time.Now().Add(g.cfg.BodyTimeout)) // where there is no deadline to set, there is none
	in, refused := readInbound(w, r, g.cfg.MaxBody)
	if refused != nil {
		return refused
	}
	_ = reading.SetReadDeadline(time.Time{})
	request, refused := g.admit(r.Header, in)
	if refused != nil {
		return refused
	}
	flow := request.Flow
	outcome, err := g.cfg.Controller.EnqueueAndWait(r.Context(), request)
	if err != nil {
		return refusalOf(outcome)
	}
	usage := controller.Usage{}
	entry := g.flows.begin(flow)
	// Deferred, so that the slot comes back even when the copying panics, which
	// is how net/http's proxy reports a client that left.
	defer func() {
		entry.end(usage)
		g.cfg.Controller.Release(request, usage)
	}()
	ctx, end := context.WithCancelCause(r.Context())
	defer end(nil)
	if revoked := request.Revoked(); revoked != nil {
		go func() { // ends with ctx
			select {
			case <-revoked:
				g.cfg.Metrics.revoked(w.code != 0)
				end(errRevoked)
			case <-ctx.Done():
			}
		}()
	}
	return g.proxy.forward(w, r.WithContext(ctx), in, request, &usage)
}

// admit finds out whose request it is and what it may cost.
func (g *Gateway) admit(h http.Header, in *inbound) (*controller.Request, *refusal) {
	tenants := g.tenants.Load()
	flow, refused := tenants.identify(h)
	if refused != nil {
		return nil, refused
	}
	flow, output, known := g.flows.admit(flow, tenants.MaxFlows)
	if known && in.model != "" {
		in.expect(output)
	}
	return &controller.Request{
		Flow: flow, Bytes: int64(len(in.body)), InputTokens: in.inputTokens, OutputTokens: in.outputTokens, TargetTTFT: targetTTFT(h),
	}, nil
}

// place chooses an endpoint for a dispatched request, and others to turn to. The slot
// is nil if there is none.
func (g *Gateway) place(request *controller.Request, in *inbound, q *endpoints.Query) (*endpoints.Slot, []*endpoints.Endpoint) {
	q.Model, q.Prompt, q.Tokens = in.model, in.prompt, in.inputTokens+in.outputTokens
	q.Least, q.Fallbacks = request.LeastLoaded(), g.cfg.Fallbacks
	slot, others := g.endpoints.Take(q)
	if slot != nil {
		g.cfg.Controller.Place(request, slot.Address())
	}
	return slot, others
}

// statusWriter remembers the status that was sent.
type statusWriter struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(code int) {
	if code >= 200 && w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(p []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the writer's other abilities.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
