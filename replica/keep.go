package replica

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/endpoints"
)

// keep has a plan that was read again say what is in effect at a replica that runs by another:
// what takes a restart is as it was. It returns the settings of which that was to change, by
// their paths in the file. Pools that come by the file have what is their own as it says, and what
// is the process's as it holds; those that are found have their own from [config.Plan.HoldTo].
func keep(plan, running *config.Plan) (kept []string) {
	if !plan.Several() {
		return keepOwn(plan, running)
	}
	listed := slices.Clone(plan.File.Weir.Pools)
	for i := range listed {
		p := &listed[i]
		if n := slices.IndexFunc(running.File.Weir.Pools, func(was config.Pool) bool { return was.Name == p.Name }); n >= 0 {
			was := &running.File.Weir.Pools[n]
			p.Endpoints, p.Discovery, p.SchedulingProfiles, p.Metrics = was.Endpoints, was.Discovery, was.SchedulingProfiles, was.Metrics
		}
	}
	plan.File.Weir.Pools = listed
	kept = keepOwn(plan, running)
	of := len(kept) // what holds for all pools is said once
	for _, p := range plan.Pools {
		was := planOf(running, p.File.Weir.Pool)
		switch was {
		case p:
			continue
		case nil:
			keepOfAll(p, running)
			continue
		}
		for _, path := range keepOwn(p, was) {
			if !slices.Contains(kept[:of], path) {
				kept = append(kept, fmt.Sprintf("%s of pool %q", path, p.File.Weir.Pool))
			}
		}
	}
	return kept
}

// keepOfAll has the plan of a pool that comes say what is in effect for the whole process, such as
// the replica's id and whether operators show a token.
func keepOfAll(plan, running *config.Plan) {
	now := &plan.File.Weir
	weir := running.File.Weir
	takeOver(&weir, now)
	weir.Pool, weir.InferencePools = now.Pool, now.InferencePools
	weir.Endpoints, weir.Discovery, weir.Metrics = now.Endpoints, now.Discovery, now.Metrics
	*now = weir
}

// keepOwn is keep without the pools of several.
func keepOwn(plan, running *config.Plan) (kept []string) {
	now, was := &plan.File, &running.File
	weir := was.Weir
	takeOver(&weir, &now.Weir)
	kept = append(config.Differences("weir", now.Weir, weir), config.Differences("schedulingProfiles", now.SchedulingProfiles, was.SchedulingProfiles)...)
	kept = append(kept, config.Differences("dataLayer", now.DataLayer, was.DataLayer)...)
	now.Weir, now.SchedulingProfiles, now.DataLayer = weir, was.SchedulingProfiles, was.DataLayer
	kept = append(kept, keepPlugins(plan, running)...)
	plan.Profile, plan.Engines = running.Profile, running.Engines
	return kept
}

// takeOver sets what changes without a restart.
func takeOver(w, from *config.Weir) {
	w.Shadow, w.Pools, w.AccessLog = from.Shadow, from.Pools, from.AccessLog
	w.Objectives, w.Flows, w.Identity, w.MaxFlows, w.CachedTokenWeight = from.Objectives, from.Flows, from.Identity, from.MaxFlows, from.CachedTokenWeight
	w.Groups, w.StrictGroups, w.Bands, w.BandPolicy = from.Groups, from.StrictGroups, from.Bands, from.BandPolicy
	w.Newcomers, w.Timeouts = from.Newcomers, from.Timeouts
}

// keepPlugins keeps the declarations of those plug-ins by which endpoints are found, read and
// chosen.
func keepPlugins(plan, running *config.Plan) (kept []string) {
	chooses := make(map[string]bool)
	for _, p := range append(slices.Clone(running.Pools), running) {
		for _, plugin := range p.Profile.Plugins() {
			chooses[plugin.TypedName().Name] = true
		}
	}
	keeps := func(p *config.Plugin) bool {
		return chooses[nameOf(p)] || slices.Contains(aboutEndpoints, p.Type)
	}
	declared := slices.Clone(plan.File.Plugins)
	for i := range running.File.Plugins {
		was := &running.File.Plugins[i]
		if !keeps(was) {
			continue
		}
		n := slices.IndexFunc(declared, func(p config.Plugin) bool { return nameOf(&p) == nameOf(was) })
		if n < 0 {
			declared = append(declared, *was)
		} else if declared[n].Same(was) {
			continue
		} else {
			declared[n] = *was
		}
		kept = append(kept, fmt.Sprintf("plugins[%s]", nameOf(was)))
	}
	plan.File.Plugins = slices.DeleteFunc(declared, func(p config.Plugin) bool {
		added := slices.Contains(aboutEndpoints, p.Type) && !slices.ContainsFunc(running.File.Plugins, func(was config.Plugin) bool { return nameOf(&was) == nameOf(&p) })
		if added {
			kept = append(kept, fmt.Sprintf("plugins[%s]", nameOf(&p)))
		}
		return added
	})
	return kept
}

// aboutEndpoints are the types of plug-ins by which endpoints are found and read.
var aboutEndpoints = []string{endpoints.MetricsDataSourceType, endpoints.CoreMetricsExtractorType, endpoints.FileDiscoveryType}

// nameOf is what a plug-in is referred to by.
func nameOf(p *config.Plugin) string { return cmp.Or(p.Name, p.Type) }
