package replica

import (
	"bytes"
	"cmp"
	"reflect"
	"slices"

	"github.com/weirflow/weir/config"
)

// keep has a plan that was read again say what is in effect at a replica that runs by another:
// what takes a restart is as it was. It reports whether any of that was to change. Pools that
// come by the file are left as they are; those that are found have it from [config.Plan.HoldTo].
func keep(plan, running *config.Plan) (differs bool) {
	if !plan.Several() {
		return keepOwn(plan, running)
	}
	for _, of := range plan.Pools {
		if was := planOf(running, of.File.Weir.Pool); was != nil && was != of {
			differs = keepOwn(of, was) || differs
		}
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
	return keepOwn(plan, running) || differs
}

// keepOwn is keep without the pools of several.
func keepOwn(plan, running *config.Plan) (differs bool) {
	now, was := &plan.File, &running.File
	weir := was.Weir
	takeOver(&weir, &now.Weir)
	differs = !reflect.DeepEqual(now.Weir, weir) || !reflect.DeepEqual(now.SchedulingProfiles, was.SchedulingProfiles)
	now.Weir, now.SchedulingProfiles = weir, was.SchedulingProfiles
	differs = keepPlugins(plan, running) || differs
	plan.Profile, plan.Engines = running.Profile, running.Engines
	return differs
}

// takeOver sets what changes without a restart.
func takeOver(w, from *config.Weir) {
	w.Shadow, w.Pools, w.AccessLog = from.Shadow, from.Pools, from.AccessLog
	w.Objectives, w.Flows, w.Identity, w.MaxFlows, w.CachedTokenWeight = from.Objectives, from.Flows, from.Identity, from.MaxFlows, from.CachedTokenWeight
	w.Groups, w.StrictGroups, w.Bands, w.Newcomers, w.Timeouts = from.Groups, from.StrictGroups, from.Bands, from.Newcomers, from.Timeouts
}

// keepPlugins keeps the declarations of those plug-ins by which endpoints are chosen.
func keepPlugins(plan, running *config.Plan) (differs bool) {
	chooses := make(map[string]bool)
	for _, p := range append(slices.Clone(running.Pools), running) {
		for _, plugin := range p.Profile.Plugins() {
			chooses[plugin.TypedName().Name] = true
		}
	}
	declared := slices.Clone(plan.File.Plugins)
	for i := range running.File.Plugins {
		was := &running.File.Plugins[i]
		if !chooses[nameOf(was)] {
			continue
		}
		n := slices.IndexFunc(declared, func(p config.Plugin) bool { return nameOf(&p) == nameOf(was) })
		if n < 0 {
			declared, differs = append(declared, *was), true
			continue
		}
		differs = differs || !samePlugin(&declared[n], was)
		declared[n] = *was
	}
	plan.File.Plugins = declared
	return differs
}

// nameOf is what a plug-in is referred to by.
func nameOf(p *config.Plugin) string { return cmp.Or(p.Name, p.Type) }

// samePlugin reports whether two declarations say the same, wherever in a file they stand.
func samePlugin(a, b *config.Plugin) bool {
	x, err := a.Parameters.JSON()
	y, err2 := b.Parameters.JSON()
	return err == nil && err2 == nil && a.Type == b.Type && bytes.Equal(x, y)
}
