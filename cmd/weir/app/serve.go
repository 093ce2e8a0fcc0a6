package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
	"github.com/weirflow/weir/store/redis"
)

func serve(ctx context.Context, f *serveFlags) error {
	plan, warnings, err := f.load()
	if err != nil {
		return err
	}
	log, err := newLogger(f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	defer log.Sync() //nolint:errcheck // stderr may not support it
	for _, w := range warnings {
		log.Warn("configuration: " + w.String())
	}
	cfg := &plan.File.Weir
	metrics := gateway.NewMetrics(cfg.Pool)
	ledger, err := openLedger(ctx, cfg)
	if err != nil {
		return err
	}
	defer ledger.Close() //nolint:errcheck // nothing is kept
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if cfg.Fleet.Gossip != "" {
		if err := exportMemberlist(registry); err != nil {
			return err
		}
	}
	incarnation := uint64(time.Now().UnixNano())
	fleet, err := openFleet(cfg, incarnation, log)
	if err != nil {
		return err
	}
	options := append(controllerOptions(plan), policyOptions(plan)...)
	options = append(options, controller.WithLogger(log), controller.WithObserver(metrics), controller.WithIncarnation(incarnation))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if fleet != nil {
		if _, err := fleet.Join(ctx); err != nil {
			return errors.Join(fmt.Errorf("--replica-id %s: %w", cfg.Replica, err), fleet.Leave(ctx))
		}
		options = append(options, controller.WithFleet(fleet))
	}
	c, err := controller.NewController(ledger, options...)
	if err != nil {
		return err
	}
	defer c.Close()
	metrics.Watch(c)
	held := &objectives{}
	source, err := endpointSource(cfg, held, log)
	if err != nil {
		return err
	}
	gc := gatewayConfig(plan, c, held, log, metrics)
	gc.Endpoints.Source = source
	if fleet != nil {
		gc.Endpoints.Fleet = fleet
	}
	g := gateway.New(gc)
	defer g.Close()
	metrics.WatchEndpoints(g.Endpoints())
	if f.file != "" {
		r := &reloader{flags: f, plan: plan, controller: c, gateway: g, objectives: held, log: log}
		go r.run(ctx) // ends with ctx
	}

	processing, err := newExtProc(cfg, g)
	if err != nil {
		return err
	}
	admin := gateway.NewAdmin(g, cfg.Replica, registry)
	requests, err := listenOn("--listen", cfg.Listen)
	if err != nil {
		return err
	}
	operators, err := listenOn("--admin", cfg.Admin)
	if err != nil {
		_ = requests.Close()
		return err
	}
	adminServer := &http.Server{Handler: admin, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() { _ = adminServer.Serve(operators) }() // to the very end, so that a drain can be watched
	defer adminServer.Close()                        //nolint:errcheck // the process ends
	admin.SetReady(true)
	drain := time.Duration(*cfg.DrainTimeout)
	go func() { // ends with ctx
		select {
		case <-ctx.Done():
		case <-c.Superseded():
			cancel(fmt.Errorf("--replica-id %s: %w", cfg.Replica, store.ErrSuperseded))
		}
		admin.SetReady(false)
		log.Info("draining", zap.Duration("at_most", drain))
		c.Retire()
	}()
	gossipAddress := ""
	if fleet != nil {
		gossipAddress = fleet.Address()
	}
	log.Info("serving", zap.String("replica", cfg.Replica), zap.Stringer("listen", requests.Addr()),
		zap.Stringer("admin", operators.Addr()), zap.String("gossip", gossipAddress), zap.String("ext_proc", processing.address()), zap.Int("endpoints", len(g.Endpoints().Endpoints())),
		zap.String("fairness", plan.File.FlowControl.DefaultPriorityBand.FairnessPolicyRef),
		zap.Stringer("saturation_detector", plan.Detector.TypedName()))
	return serveUntil(ctx, drain, &http.Server{
		Handler: g, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: zap.NewStdLog(log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))),
	}, requests, processing, c.Drain)
}

// controllerOptions are what a running controller keeps to its end.
func controllerOptions(plan *config.Plan) []controller.Option {
	w := &plan.File.Weir
	outage := core.Share
	if w.Store.OnOutage == "hold" {
		outage = core.Hold
	}
	return []controller.Option{
		controller.WithReplica(w.Replica),
		controller.WithLease(time.Duration(*w.Store.Lease)),
		controller.WithStoreOutage(outage, 500*time.Millisecond),
	}
}

// policyOptions are what a running controller can be given anew.
func policyOptions(plan *config.Plan) []controller.Option {
	fc := &plan.File.FlowControl
	options := []controller.Option{
		controller.WithSaturationDetector(plan.Detector),
		controller.WithUsageLimit(plan.UsageLimit),
		controller.WithTTL(time.Duration(*fc.DefaultRequestTTL), time.Duration(*fc.NoEndpointRequestTTL)),
		controller.WithCapacity(int64(fc.MaxRequests), int64(fc.MaxBytes)),
		controller.WithWeights(plan.Flows.Weight), controller.WithLimits(plan.Flows.Limit),
		controller.WithDefaultBand(plan.Default), controller.WithNegativeBand(plan.Negative),
	}
	if e := plan.Eviction; e != nil {
		options = append(options, controller.WithEviction(e.Filter, e.Order))
	} else {
		options = append(options, controller.WithoutEviction())
	}
	for priority, band := range plan.Bands {
		options = append(options, controller.WithBand(priority, band))
	}
	return options
}

func gatewayConfig(plan *config.Plan, c *controller.Controller, o *objectives, log *zap.Logger, metrics *gateway.Metrics) gateway.Config {
	w := &plan.File.Weir
	cfg := gateway.Config{Controller: c, Tenants: tenants(plan, o), MaxBody: int64(w.MaxBody), Fallbacks: w.ExtProc.Fallbacks, Logger: log, Metrics: metrics}
	es := &cfg.Endpoints
	es.Replica, es.Profile, es.Interval = w.Replica, plan.Profile, time.Duration(*w.Metrics.Interval)
	if _, outright := plan.Detector.(policies.InFlightLimiter); !outright {
		es.Observe = es.Interval
	}
	if readsMetrics(plan) {
		m := &w.Metrics
		es.Scrape = &endpoints.MetricNames{Waiting: m.Waiting, Running: m.Running, KVCacheUsage: m.KVCacheUsage, LoRA: m.LoRA}
	}
	return cfg
}

// readsMetrics reports whether anything asks for the endpoints' own metrics.
func readsMetrics(plan *config.Plan) bool {
	return policies.ReadsMetrics(plan.Detector) || slices.ContainsFunc(plan.Profile.Scorers, func(s endpoints.Weighted) bool {
		return policies.ReadsMetrics(s.EndpointScorer)
	})
}

func tenants(plan *config.Plan, o *objectives) gateway.Tenants {
	priority := func(flow, objective string) int { return o.priority(&plan.Flows, flow, objective) }
	return gateway.Tenants{Priority: priority, Keys: plan.Keys, MaxFlows: plan.File.Weir.MaxFlows}
}

// openLedger opens the ledger that replicas share, or one in memory.
func openLedger(ctx context.Context, w *config.Weir) (store.Ledger, error) {
	timings := store.Timings{Lease: time.Duration(*w.Store.Lease)}
	if w.Store.Redis == "" {
		return memory.New(memory.Config{Timings: timings}), nil
	}
	opening, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	l, err := redis.Open(opening, redis.Config{
		URL: w.Store.Redis, PasswordFile: w.Store.PasswordFile, Prefix: w.Store.Prefix, Pool: w.Pool, Timings: timings,
	})
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	return l, nil
}
