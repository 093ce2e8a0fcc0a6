package gateway

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/accesslog"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
)

// Config describes a gateway.
type Config struct {
	// Controller decides when a request may go.
	Controller *controller.Controller
	// Endpoints says which model servers there are and how one is chosen. New sets its
	// Logger, Changed, Others and Waiting itself; leave them empty.
	Endpoints endpoints.Config
	// Tenants says whose a request is.
	Tenants Tenants
	// MaxBody is the largest body accepted, in bytes; 32 MiB by default. Bodies of
	// waiting requests are held in memory.
	MaxBody int64
	// MemoryBudget is how many bytes requests may take in all which are being read or
	// wait; 512 MiB by default. Beyond it, the flow that holds most is refused.
	MemoryBudget int64
	// BodyTimeout is how long a client may take to send its body; 1 minute by
	// default.
	BodyTimeout time.Duration
	// DialTimeout is how long a connection to a model server may take; 2 s by
	// default. Another endpoint is tried after it.
	DialTimeout time.Duration
	// Fallbacks is how many further endpoints are named to Envoy, for when the one
	// picked cannot be reached; none by default. Envoy's override_host policy takes
	// several endpoints; a cluster of type ORIGINAL_DST takes one.
	Fallbacks int
	// Replica is this one's id, for the request log.
	Replica string
	// AccessLog is the request log, which stays the caller's to close; nil for none.
	AccessLog *accesslog.Log
	// Delegation has another Endpoint Picker choose the endpoints of requests that come by
	// external processing; nil for none.
	Delegation *Delegation
	// AdmissionOnly lets requests that come by external processing go wherever Envoy
	// sends them: no endpoint is named.
	AdmissionOnly bool
	// Shadow holds and refuses nothing: flow control is played beside what runs. See
	// SetShadow.
	Shadow bool
	// Version is the build's, for operators.
	Version string
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
	// Metrics counts answers; nil for none.
	Metrics *Metrics
	// Served is called at the end of each request that was dispatched, with what it cost;
	// nil for nothing. It must return at once.
	Served func(policies.FlowKey, controller.Usage)
}

// Gateway is an http.Handler that forwards requests to the pool when flow
// control lets them go. Close it after the server in front of it.
type Gateway struct {
	cfg       Config
	endpoints *endpoints.Pool
	proxy     *proxy
	budget    *budget
	pace      *pace
	drain     drain
	flows     *flowTable
	tenants   atomic.Pointer[Tenants]
	readings  *readings
	shadow    *shadow

	undeclared undeclared
	fresh      fresh
}

// New returns a gateway for the pool.
func New(cfg Config) *Gateway {
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = 32 << 20
	}
	if cfg.MemoryBudget <= 0 {
		cfg.MemoryBudget = 512 << 20
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
	if d := cfg.Delegation; d != nil && d.Timeout <= 0 {
		d.Timeout = 5 * time.Second
	}
	g := &Gateway{cfg: cfg, budget: newBudget(cfg.MemoryBudget), pace: newPace(), flows: newFlowTable(), readings: newReadings(cfg.Logger), shadow: newShadow(cfg.Controller)}
	g.shadow.set(cfg.Shadow)
	if cfg.Metrics != nil {
		cfg.Metrics.budget, cfg.Metrics.log, cfg.Metrics.table = g.budget, cfg.AccessLog, g.flows
	}
	g.SetTenants(cfg.Tenants)
	cfg.Endpoints.Logger, cfg.Endpoints.Others = cfg.Logger, cfg.Controller.Others
	cfg.Endpoints.Waiting = func() bool { return cfg.Controller.Waiting() > 0 }
	cfg.Endpoints.Changed = func(usable []policies.EndpointAccessor) {
		g.readings.look(time.Now(), cfg.Controller.Readings())
		cfg.Controller.Observe(context.Background(), usable)
	}
	g.endpoints = endpoints.New(cfg.Endpoints)
	g.proxy = newProxy(g, &net.Dialer{Timeout: cfg.DialTimeout, KeepAlive: 30 * time.Second})
	return g
}

// Observe passes the endpoints to the controller now.
func (g *Gateway) Observe() { g.endpoints.Notify() }

// Endpoints returns the pool's endpoints.
func (g *Gateway) Endpoints() *endpoints.Pool { return g.endpoints }

// SetShadow has flow control only played from now on, or hold again.
func (g *Gateway) SetShadow(on bool) { g.shadow.set(on) }

// EndShadow ends what is played of requests that went at once, so that nothing waits for it.
func (g *Gateway) EndShadow() { g.shadow.end() }

// ShadowMetrics are what would have been done while flow control is only played.
func (g *Gateway) ShadowMetrics() prometheus.Collector { return g.shadow }

// Close ends the gateway's own goroutines and idle connections.
func (g *Gateway) Close() {
	g.shadow.end()
	g.endpoints.Close()
	g.proxy.transport.CloseIdleConnections()
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.proxy.ServeHTTP(w, r) }
