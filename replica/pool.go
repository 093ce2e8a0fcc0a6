package replica

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/admin"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/metering"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/overrides"
	"github.com/weirflow/weir/gateway/rewrites"
	"github.com/weirflow/weir/gateway/traffic"
	"github.com/weirflow/weir/internal/build"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// pool is a replica's part in one pool: the pool's ledger, the controller before it, its
// model servers, and what operators are told of them.
//
//	newPool ──> start ──> reconfigure ... ──> drain ──> close
type pool struct {
	name string
	log  *zap.Logger

	mu   sync.Mutex   // of changes to what is in effect
	plan *config.Plan // in effect, with the overrides over it
	// parts are those of their weights that tenants have here whose share is one over all pools.
	parts map[string]float64

	ledger     ledger
	overrides  *overrides.Table
	meter      *metering.Meter
	unfollow   func() // what operators set, and waits
	handOver   func() // what is left of the usage, and waits
	objectives flows.Objectives
	rewrites   rewrites.Table
	source     endpoints.Source
	fleet      fleetPart // nil for none
	metrics    *metrics.Pool
	traffic    *traffic.Log
	controller *controller.Controller
	gateway    *gateway.Pool
	slotTime   *flows.Meter // for shares over pools
	console    *admin.Server
	closing    chan struct{} // closed when it begins to be
	ended      chan struct{} // closed once a pool is that left the plan
}

// newPool opens the pool's ledger. The other replicas learn of nothing yet.
func (r *replica) newPool(ctx context.Context, plan *config.Plan) (*pool, error) {
	name := plan.File.Weir.Pool
	p := &pool{name: name, plan: plan, log: r.log, metrics: metrics.NewPool(name), traffic: traffic.NewLog(), closing: make(chan struct{}), ended: make(chan struct{})}
	if r.plan.Several() {
		p.log = r.log.With(zap.String("pool", name))
	}
	var err error
	if p.source, err = r.endpointSource(plan, &p.objectives, &p.rewrites, p.log); err != nil {
		return nil, err
	}
	if p.ledger, err = r.ledgers.open(ctx, plan); err != nil {
		return nil, err
	}
	p.overrides = overrides.New(overrides.Config{
		Ledger: p.ledger, Changed: p.override, Logger: p.log,
		Noted: func(of overrides.Subject, text string) {
			p.console.Note(api.OverrideSet, api.Info, of.Flow+of.Endpoint, text)
		},
	})
	p.meter = metering.New(metering.Config{Ledger: p.ledger, Replica: plan.File.Weir.Replica, Incarnation: r.incarnation, Logger: p.log})
	return p, err
}

// start lets the pool take requests, as a part of the replica. A replica without a fleet
// has none for it either.
func (r *replica) start(ctx context.Context, p *pool) error {
	options := append(controllerOptions(p.plan), policyOptions(p.plan, nil, nil)...)
	options = append(options, controller.WithLogger(p.log), controller.WithObserver(controller.Observers{p.metrics, p.traffic}), controller.WithIncarnation(r.incarnation))
	cfg := poolConfig(p.plan, &p.objectives)
	var err error
	if p.fleet, err = r.partOf(ctx, p); err != nil {
		return err
	}
	if p.fleet != nil {
		options = append(options, controller.WithFleet(p.fleet))
		cfg.Endpoints.Fleet = p.fleet
	}
	if r.parts != nil {
		p.tellSettings(p.plan)
	}
	if p.controller, err = controller.NewController(p.ledger, options...); err != nil {
		return err
	}
	cfg.Controller, cfg.Endpoints.Source, cfg.Logger, cfg.Metrics, cfg.Served = p.controller, p.source, p.log, p.metrics, p.served
	cfg.Refused, cfg.Rewrite = p.traffic.Refused, p.rewrites.Of
	p.gateway = gateway.NewPool(cfg)
	p.slotTime = p.gateway.Meter()
	p.metrics.Watch(p.controller)
	p.metrics.WatchEndpoints(p.gateway.Endpoints())
	for _, c := range p.collectors(r) {
		if err := c.to.Register(c.Collector); err != nil {
			return fmt.Errorf("pool %q: its metrics: %w", p.name, err)
		}
	}
	ac := admin.Config{
		Replica: p.plan.File.Weir.Replica, Pool: p.name, Version: build.Read().Version,
		Gateway: p.gateway, Traffic: p.traffic, Overrides: p.overrides, Meter: p.meter, Ledger: p.ledger, Guarded: p.plan.File.Weir.AdminTokenFile != "", Logger: p.log,
		Configuration: func() admin.Configuration {
			c, set := *r.shown.Load(), p.overrides.Set()
			p.mu.Lock()
			plan := p.plan
			flows, guaranteed, weights := &plan.Flows, plan.Guaranteed, newWeights(plan, set, p.parts)
			p.mu.Unlock()
			c.Guaranteed, c.Refused = guaranteed, r.refused.told()
			c.BandWeight = func(priority int) float64 {
				return plan.BandPolicy.BandWeight(priority, plan.BandWeight(priority))
			}
			c.Weight, c.FleetPart, c.Limit = weights.of, weights.partOf, set.Limit(flows.Limit)
			if flows.HasGroups() {
				c.Groups, c.GroupNames, c.Maxima, c.GuaranteedGroups = weights.groups, flows.GroupNames(), flows.Maxima(), flows.Guaranteed()
			}
			return c
		},
	}
	if r.byEnvoy.Delegation != nil {
		ac.Pickers = r.byEnvoy.Delegation.Pickers
	}
	p.console = r.console.Add(ac)
	p.follow()
	r.spread.Add(spreading{p})
	go func() { // ends with the pool
		select {
		case <-p.controller.Superseded():
			r.cancel(fmt.Errorf("%s: %w", r.plan.Name("weir.replica"), store.ErrSuperseded))
		case <-p.closing:
		}
	}()
	return nil
}

// registered is a collector of metrics and where it is registered.
type registered struct {
	prometheus.Collector
	to prometheus.Registerer
}

// collectors are those of the pool's metrics. Where there are several pools, each of their
// series says whose it is.
func (p *pool) collectors(r *replica) []registered {
	shadow := registered{p.gateway.Shadow(), r.metrics}
	if r.plan.Several() {
		shadow.to = prometheus.WrapRegistererWith(prometheus.Labels{"inference_pool": p.name}, r.metrics)
	}
	return []registered{{p.metrics, r.metrics}, shadow}
}

// served notes what a request cost that is over.
func (p *pool) served(flow policies.FlowKey, s flows.Served) {
	p.traffic.Served(flow, s.Charged)
	p.meter.Count(&store.Usage{
		Flow: flow.ID, Requests: 1, TokensIn: s.TokensIn, TokensCached: s.TokensCached, TokensOut: s.TokensOut,
		Charged: s.Charged.InputTokens + s.Charged.OutputTokens, Held: s.Held,
	})
}

// firstLook is how long a replica that starts waits for what operators set.
const firstLook = 2 * time.Second

// follow finds out what operators set for a time, and follows it until the pool is closed.
func (p *pool) follow() {
	ctx, cancel := context.WithTimeout(context.Background(), firstLook)
	defer cancel()
	_ = p.overrides.Look(ctx) // it is logged, and tried again
	p.unfollow, p.handOver = during(p.overrides.Run), during(p.meter.Run)
}

// during runs something until the returned function is called, which waits for its end.
func during(run func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// override puts what operators set into effect.
func (p *pool) override(set *overrides.Set) {
	p.apply()
	p.gateway.Endpoints().Drain(set.Drained())
}

// apply puts what operators set, and tenants' parts, into effect.
func (p *pool) apply() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.controller.Reconfigure(policyOptions(p.plan, p.overrides.Set(), p.parts)...); err != nil {
		p.log.Error("what an operator set has no effect", zap.Error(err))
	}
}

// runsBy reports whether a plan is in effect.
func (p *pool) runsBy(plan *config.Plan) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plan == plan
}

// reconfigure puts a changed plan into effect that was checked, as far as it can be while the
// pool runs.
func (p *pool) reconfigure(plan *config.Plan) {
	p.gateway.Watch(watchOf(plan))
	p.mu.Lock()
	p.plan = plan
	err := p.controller.Reconfigure(policyOptions(plan, p.overrides.Set(), p.parts)...)
	p.mu.Unlock()
	if err != nil {
		p.log.Error("a part of the changed configuration has no effect", zap.Error(err))
	}
	p.setTenants(plan)
	if shadow := plan.File.Weir.Shadow; shadow != p.gateway.Shadow().On() { // what was played says nothing of what is held
		p.traffic.Restart(func() { p.gateway.Shadow().Set(shadow) })
		words := "shadow ended: requests are held and refused from now on"
		if shadow {
			words = "shadow began: no request is held or refused from now on, and flow control is only played"
		}
		p.log.Warn(words)
		p.console.Note(api.ShadowChanged, api.Warning, plan.File.Weir.Replica, words)
	}
	p.gateway.Observe()
	p.tellSettings(plan)
}

// tellSettings tells the other replicas what should be the same there.
func (p *pool) tellSettings(plan *config.Plan) {
	if p.fleet == nil {
		return
	}
	if settings, err := plan.Settings(); err == nil {
		p.fleet.SetSettings(settings)
	}
}

// setTenants puts the part of a changed plan into effect that is about tenants.
func (p *pool) setTenants(plan *config.Plan) {
	p.mu.Lock()
	p.plan = plan
	p.mu.Unlock()
	p.gateway.SetRules(rules(plan, &p.objectives))
}

// retire has other replicas queue the pool's requests from now on.
func (p *pool) retire() {
	p.gateway.Shadow().End()
	p.controller.Retire()
}

// cutOff is how long requests may take to end that are cut off: as long as a client may take
// nothing of what is there for it.
const cutOff = time.Minute

// close ends what there is of the pool. Until its requests have ended it keeps its lease: they
// use slots. What they used is handed over at the very end.
func (p *pool) close(r *replica) {
	close(p.closing)
	r.spread.Remove(spreading{p})
	if p.unfollow != nil {
		p.unfollow()
	}
	if p.console != nil {
		r.console.Remove(p.console)
	}
	if p.gateway != nil {
		ctx, cancel := context.WithTimeout(context.Background(), cutOff)
		defer cancel()
		p.gateway.Cut()
		if err := p.gateway.Await(ctx); err != nil {
			p.log.Warn("requests that were cut off do not end", zap.Error(err))
		}
		p.gateway.Close()
		for _, c := range p.collectors(r) {
			c.to.Unregister(c.Collector)
		}
	}
	if p.controller != nil {
		p.controller.Close()
	}
	if p.handOver != nil {
		p.handOver()
	}
	_ = p.ledger.Close() // nothing is kept
}
