package replica

import (
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/overrides"
	"github.com/weirflow/weir/policies"
)

// controllerOptions are options that cannot change while a controller runs.
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

// policyOptions are options that a reload may change, with what operators set over what the
// configuration says, and tenants' parts of their weights.
func policyOptions(plan *config.Plan, set *overrides.Set, parts map[string]float64) []controller.Option {
	weights := newWeights(plan, set, parts)
	fc := &plan.File.FlowControl
	options := []controller.Option{
		controller.WithSaturationDetector(plan.Detector),
		controller.WithUsageLimit(plan.UsageLimit),
		controller.WithGuarantees(func(priority int) float64 { return plan.Guaranteed[priority] }),
		controller.WithBandPolicy(plan.BandPolicy, plan.BandWeight),
		controller.WithTTL(time.Duration(*fc.DefaultRequestTTL), time.Duration(*fc.NoEndpointRequestTTL)),
		controller.WithCapacity(int64(fc.MaxRequests), int64(fc.MaxBytes)),
		controller.WithWeights(weights.of), controller.WithLimits(set.Limit(plan.Flows.Limit)),
		controller.WithMaxima(plan.Flows.Maxima()), controller.WithGroupGuarantees(plan.Flows.Guaranteed()), controller.WithTokenCounts(plan.Profile.CountsTokens()),
		controller.WithDefaultBand(plan.Default), controller.WithNegativeBand(plan.Negative),
	}
	if plan.Flows.HasGroups() {
		options = append(options, controller.WithGroups(weights.groups))
	} else {
		options = append(options, controller.WithGroups(nil))
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

// gatewayConfig is what holds for all requests, however they come.
func gatewayConfig(plan *config.Plan, log *zap.Logger) gateway.Config {
	w := &plan.File.Weir
	return gateway.Config{
		Replica: w.Replica, Keys: plan.Keys,
		MaxBody: int64(w.MaxBody), MaxHeaderBytes: int(w.MaxHeaderBytes), MemoryBudget: memoryBudget(int64(w.MemoryBudget), os.DirFS("/"), log),
	}
}

// envoyConfig is what holds for requests that Envoy brings.
func envoyConfig(plan *config.Plan, log *zap.Logger) envoy.Config {
	w := &plan.File.Weir.ExtProc
	return envoy.Config{Fallbacks: w.Fallbacks, AdmissionOnly: w.AdmissionOnly, PoolHeader: w.PoolHeader, PoolAttribute: w.PoolAttribute, Logger: log}
}

// poolConfig is what holds for a pool's requests.
func poolConfig(plan *config.Plan, t *flows.Objectives) gateway.PoolConfig {
	w := &plan.File.Weir
	cfg := gateway.PoolConfig{Rules: rules(plan, t), Shadow: w.Shadow}
	es := &cfg.Endpoints
	m := &w.Metrics
	es.Replica, es.Profile, es.Interval, es.Watch = w.Replica, plan.Profile, time.Duration(*m.Interval), watchOf(plan)
	es.Metrics = endpoints.MetricNames{Waiting: m.Waiting, Running: m.Running, KVCacheUsage: m.KVCacheUsage, LoRA: m.LoRA}
	es.Engines = plan.Engines
	es.MetricsAt = endpoints.MetricsAt{Scheme: m.Scheme, Path: m.Path, Port: m.Port, InsecureSkipVerify: m.InsecureSkipVerify}
	return cfg
}

// watchOf is what the plan's detector and profile need to know of the endpoints.
func watchOf(plan *config.Plan) endpoints.Watch {
	w := endpoints.Watch{Scrape: readsMetrics(plan)}
	if _, outright := plan.Detector.(policies.InFlightLimiter); !outright {
		w.Observe = time.Duration(*plan.File.Weir.Metrics.Interval)
	}
	return w
}

// readsMetrics reports whether anything needs the endpoints' own metrics.
func readsMetrics(plan *config.Plan) bool {
	return policies.ReadsMetrics(plan.Detector) || slices.ContainsFunc(plan.Profile.Plugins(), func(p policies.Plugin) bool {
		return policies.ReadsMetrics(p)
	})
}

// rules say what a flow's requests may do, and their priority: as Kubernetes says of the objective
// that it names, or else as the configuration does.
func rules(plan *config.Plan, t *flows.Objectives) flows.Rules {
	priority := func(flow, objective string) (int, bool) { return plan.Flows.Priority(flow, objective, t.Priority) }
	timeouts := func(flow, objective string) flows.Timeouts {
		w := plan.Flows.Timeouts(flow, objective)
		given := func(d *config.Duration) time.Duration {
			if d == nil {
				return 0
			}
			return time.Duration(*d)
		}
		return flows.Timeouts{
			Client: given(w.Client), FirstByte: given(w.FirstByte), BetweenBytes: given(w.BetweenBytes), Request: given(w.Request),
		}
	}
	newcomers := flows.Newcomers{}
	if d := plan.File.Weir.Newcomers.For; d != nil {
		newcomers.For = time.Duration(*d)
	}
	return flows.Rules{
		Priority: priority, Timeouts: timeouts, Rule: plan.Flows.Rule, MaxFlows: plan.File.Weir.MaxFlows,
		CachedTokenWeight: plan.File.Weir.CachedTokenWeight, Newcomers: newcomers,
	}
}
