package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/shadow"
	"github.com/weirflow/weir/policies"
)

// PoolConfig describes a pool as a gateway sees it.
type PoolConfig struct {
	// Controller decides when a request may go.
	Controller *controller.Controller
	// Endpoints says which model servers there are and how one is chosen. NewPool sets its
	// Logger, Changed, Others and Waiting itself; leave them empty.
	Endpoints endpoints.Config
	// Rules say what a flow's requests may do.
	Rules flows.Rules
	// Rewrite returns the model to ask for in place of the one that a request names, where this
	// replica chooses its endpoint, and no header says it; nil for that itself.
	Rewrite func(model string) string
	// Shadow holds and refuses nothing: flow control is played beside what runs. See
	// [Pool.Shadow].
	Shadow bool
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
	// Metrics counts the pool's requests; nil for none.
	Metrics *metrics.Pool
	// Served is called at the end of each request that was dispatched, with what it cost;
	// nil for nothing. It must return at once.
	Served func(policies.FlowKey, flows.Served)
	// Refused is called at the end of each request that the gateway ended itself, with the
	// code of its answer; nil for nothing. It must return at once.
	Refused func(code string)
}

// Pool is one pool of a gateway: its model servers, the controller before them, and what is
// known of the flows that use it. It is safe for concurrent use.
type Pool struct {
	cfg       PoolConfig
	endpoints *endpoints.Pool
	pace      *pace
	drain     drain
	flows     *flows.Table
	rules     atomic.Pointer[flows.Rules]
	readings  *readings
	shadow    *shadow.Shadow

	undeclared flows.Undeclared
	fresh      flows.Fresh
	attendance attendance
}

// NewPool returns a pool. Close it after the gateway.
func NewPool(cfg PoolConfig) *Pool {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	p := &Pool{cfg: cfg, pace: newPace(), flows: flows.NewTable(time.Now()), readings: newReadings(cfg.Logger), shadow: shadow.New(cfg.Controller, cfg.Metrics.FlowLabel)}
	p.shadow.Set(cfg.Shadow)
	cfg.Metrics.WatchFlows(p.flows)
	p.SetRules(cfg.Rules)
	cfg.Endpoints.Logger, cfg.Endpoints.Others = cfg.Logger, cfg.Controller.Others
	cfg.Endpoints.Waiting = func() bool { return cfg.Controller.Waiting() > 0 }
	cfg.Endpoints.Changed = func(usable []policies.EndpointAccessor) {
		p.readings.look(time.Now(), cfg.Controller.Readings())
		cfg.Controller.Observe(context.Background(), usable)
	}
	p.endpoints = endpoints.New(cfg.Endpoints)
	return p
}

// SetRules replaces the rules for requests from now on.
func (p *Pool) SetRules(r flows.Rules) {
	r = r.WithDefaults()
	p.rules.Store(&r)
}

// Observe passes the endpoints to the controller now.
func (p *Pool) Observe() { p.endpoints.Notify() }

// Watch replaces what is done to know how full the endpoints are, as a changed detector needs it.
func (p *Pool) Watch(w endpoints.Watch) {
	p.endpoints.Watch(w)
	if w.Observe == 0 { // the detector misses no readings, and nobody looks again
		p.readings.look(time.Now(), controller.ReadingsUsed)
	}
}

// Endpoints returns the pool's endpoints.
func (p *Pool) Endpoints() *endpoints.Pool { return p.endpoints }

// Controller returns the pool's flow controller.
func (p *Pool) Controller() *controller.Controller { return p.cfg.Controller }

// Shadow is what has flow control only played.
func (p *Pool) Shadow() *shadow.Shadow { return p.shadow }

// Meter returns a meter of what flows held here.
func (p *Pool) Meter() *flows.Meter { return p.flows.Meter() }

// Flows calls visit for every flow that this replica remembers, in no order. While flow control
// is only played, its requests in flight are those that are as played.
func (p *Pool) Flows(visit func(policies.FlowKey, flows.Figures)) {
	p.flows.Each(func(key policies.FlowKey, f flows.Figures) {
		if slots, played := p.shadow.Slots(key); played {
			f.InFlight = slots
		}
		visit(key, f)
	})
}

// Close ends the pool's own goroutines.
func (p *Pool) Close() {
	p.shadow.End()
	p.endpoints.Close()
}
