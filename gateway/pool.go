package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/policies"
)

// PoolConfig describes a pool as a gateway sees it.
type PoolConfig struct {
	// Controller decides when a request may go.
	Controller *controller.Controller
	// Endpoints says which model servers there are and how one is chosen. NewPool sets its
	// Logger, Changed, Others and Waiting itself; leave them empty.
	Endpoints endpoints.Config
	// Tenants says what a flow's requests may do.
	Tenants Tenants
	// Rewrite returns the model to ask for in place of the one that a request names, where this
	// replica chooses its endpoint, and no header says it; nil for that itself.
	Rewrite func(model string) string
	// Shadow holds and refuses nothing: flow control is played beside what runs. See
	// SetShadow.
	Shadow bool
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
	// Metrics counts the pool's requests; nil for none.
	Metrics *metrics.Pool
	// Served is called at the end of each request that was dispatched, with what it cost;
	// nil for nothing. It must return at once.
	Served func(policies.FlowKey, Served)
	// Refused is called at the end of each request that the gateway ended itself, with the
	// code of its answer; nil for nothing. It must return at once.
	Refused func(code string)
}

// Served is what a request cost that is over.
type Served struct {
	// Charged is by which it was settled, and Held how long it held its slot.
	Charged controller.Usage
	Held    time.Duration
	// Counted says that the model server said what it cost: a prompt of TokensIn, of which
	// TokensCached were in a cache, and an answer of TokensOut. Otherwise they are 0.
	Counted                           bool
	TokensIn, TokensCached, TokensOut int64
}

// Pool is one pool of a gateway: its model servers, the controller before them, and what is
// known of the flows that use it. It is safe for concurrent use.
type Pool struct {
	cfg       PoolConfig
	endpoints *endpoints.Pool
	pace      *pace
	drain     drain
	flows     *flowTable
	tenants   atomic.Pointer[Tenants]
	readings  *readings
	shadow    *shadow

	undeclared undeclared
	fresh      fresh
	attendance attendance
}

// NewPool returns a pool. Close it after the gateway.
func NewPool(cfg PoolConfig) *Pool {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	p := &Pool{cfg: cfg, pace: newPace(), flows: newFlowTable(), readings: newReadings(cfg.Logger), shadow: newShadow(cfg.Controller, cfg.Metrics.FlowLabel)}
	p.shadow.set(cfg.Shadow)
	cfg.Metrics.WatchFlows(p.flows.inFlight)
	p.SetTenants(cfg.Tenants)
	cfg.Endpoints.Logger, cfg.Endpoints.Others = cfg.Logger, cfg.Controller.Others
	cfg.Endpoints.Waiting = func() bool { return cfg.Controller.Waiting() > 0 }
	cfg.Endpoints.Changed = func(usable []policies.EndpointAccessor) {
		p.readings.look(time.Now(), cfg.Controller.Readings())
		cfg.Controller.Observe(context.Background(), usable)
	}
	p.endpoints = endpoints.New(cfg.Endpoints)
	return p
}

// SetTenants replaces the tenants for requests from now on.
func (p *Pool) SetTenants(t Tenants) {
	if t.MaxFlows <= 0 {
		t.MaxFlows = defaultMaxFlows
	}
	p.tenants.Store(&t)
}

// Observe passes the endpoints to the controller now.
func (p *Pool) Observe() { p.endpoints.Notify() }

// Endpoints returns the pool's endpoints.
func (p *Pool) Endpoints() *endpoints.Pool { return p.endpoints }

// Controller returns the pool's flow controller.
func (p *Pool) Controller() *controller.Controller { return p.cfg.Controller }

// Shadow reports whether flow control is only played.
func (p *Pool) Shadow() bool { return p.shadow.isOn() }

// SetShadow has flow control only played from now on, or hold again.
func (p *Pool) SetShadow(on bool) { p.shadow.set(on) }

// ShadowReport is what flow control would have done while it was last only played.
func (p *Pool) ShadowReport() ShadowReport { return p.shadow.reported() }

// EndShadow ends what is played of requests that went at once, so that nothing waits for it.
func (p *Pool) EndShadow() { p.shadow.end() }

// ShadowMetrics are what would have been done while flow control is only played.
func (p *Pool) ShadowMetrics() prometheus.Collector { return p.shadow }

// FlowFigures are what the requests of a flow come to that came in by this replica.
type FlowFigures struct {
	// InFlight hold slots; those that flow control plays, while it is only played.
	InFlight int64
	// ServedRequests have ended, and cost ServedTokens together.
	ServedRequests, ServedTokens int64
	// TokensIn, TokensCached and TokensOut are what model servers counted for them.
	TokensIn, TokensCached, TokensOut int64
}

// Flows calls visit for every flow that this replica remembers, in no order.
func (p *Pool) Flows(visit func(policies.FlowKey, FlowFigures)) {
	p.flows.each(func(key policies.FlowKey, e flowEntry) {
		inFlight := e.inFlight
		if slots, played := p.shadow.held(key); played {
			inFlight = slots
		}
		visit(key, FlowFigures{
			InFlight: inFlight, ServedRequests: e.requests, ServedTokens: e.tokens,
			TokensIn: e.sums.in, TokensCached: e.sums.cached, TokensOut: e.sums.out,
		})
	})
}

// Close ends the pool's own goroutines.
func (p *Pool) Close() {
	p.shadow.end()
	p.endpoints.Close()
}
