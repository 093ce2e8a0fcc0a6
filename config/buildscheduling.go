package config

import (
	"slices"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/policies/scheduling"
)

// scheduling builds the profiles.
func (b *builder) scheduling() {
	f := b.file
	switch {
	case b.elsewhere():
		b.tellLeft()
		f.SchedulingProfiles = b.defaultProfile() // for what comes by HTTP, and where no picker chooses
		b.plan.Profile = b.profile("schedulingProfiles[0]", &f.SchedulingProfiles[0])
		return
	case len(f.SchedulingProfiles) == 0:
		f.SchedulingProfiles = b.declaredProfile()
	}
	b.plan.Profile = b.handled(b.profiles())
}

// declaredProfile is what holds without a section: what the declared plug-ins are, or the
// default where none of them chooses endpoints.
func (b *builder) declaredProfile() []Profile {
	p := Profile{Name: "default"}
	for _, plugin := range b.declared {
		switch plugin.(type) {
		case policies.EndpointFilter, policies.EndpointScorer, policies.EndpointPicker:
			p.Plugins = append(p.Plugins, ProfilePlugin{PluginRef: plugin.TypedName().Name})
			b.unlisted = append(b.unlisted, b.declaredAt(plugin))
		}
	}
	if len(p.Plugins) == 0 {
		return b.defaultProfile()
	}
	return []Profile{p}
}

// defaultProfile is what holds without a section: with a detector that reads the
// endpoints' metrics what users of today's EPP know, and the requests in flight as
// well, which are newer; else these alone.
func (b *builder) defaultProfile() []Profile {
	p := Profile{Name: "default"}
	add := func(typ string, weight float64) {
		p.Plugins = append(p.Plugins, ProfilePlugin{PluginRef: typ, Weight: &weight})
	}
	if policies.ReadsMetrics(b.plan.Detector) {
		add(scheduling.QueueType, 2)
		add(scheduling.KVCacheType, 2)
		add(scheduling.PrefixCacheType, 3)
		add(scheduling.RunningRequestsType, 2)
	} else {
		add(scheduling.RunningRequestsType, 1)
	}
	p.Plugins = append(p.Plugins, ProfilePlugin{PluginRef: scheduling.MaxScoreType})
	return []Profile{p}
}

func (a *assembly) profile(path string, p *Profile) (profile endpoints.Profile) {
	if a.producer != nil {
		indexing := a.producer.Prefixes()
		profile.Prefixes = &indexing
	}
	for i := range p.Plugins {
		at := indexed(path+".plugins", i)
		if i < len(a.unlisted) {
			at = a.unlisted[i]
		}
		a.profilePlugin(at, &p.Plugins[i], &profile)
	}
	if profile.Picker == nil {
		p.Plugins = append(p.Plugins, ProfilePlugin{PluginRef: scheduling.MaxScoreType})
		profile.Picker = refer(a, path, scheduling.MaxScoreType, "picker", a.set.Picker)
	}
	return profile
}

// profilePlugin adds what a plug-in of a profile does to it.
func (a *assembly) profilePlugin(at string, ref *ProfilePlugin, profile *endpoints.Profile) {
	if a.choosesNothing(at, ref) {
		return
	}
	plugin, err := a.set.Named(ref.PluginRef)
	if err != nil {
		a.notInProfile(at, ref, err)
		return
	}
	a.prefixProducer(at, plugin)
	switch plugin := plugin.(type) {
	case policies.EndpointPicker:
		if profile.Picker != nil {
			a.wrong(at, "is a second picker; keep one")
		}
		a.unweighted(at, ref, "a picker")
		profile.Picker = plugin
	case policies.EndpointFilter:
		a.unweighted(at, ref, "a filter")
		profile.Filters = append(profile.Filters, plugin)
	case policies.EndpointScorer:
		if ref.Weight == nil {
			one := 1.0
			ref.Weight = &one
		}
		if !(*ref.Weight >= 0 && *ref.Weight <= 1e6) {
			a.wrong(at+".weight", "must be from 0 to 1000000")
		}
		if _, one := plugin.(*scheduling.PrefixCache); one {
			if slices.ContainsFunc(profile.Scorers, func(s endpoints.Weighted) bool { _, two := s.EndpointScorer.(*scheduling.PrefixCache); return two }) {
				a.warn(at, "judges by the same index as the first prefix-cache-scorer: its weight counts to that one's")
			}
		}
		profile.Scorers = append(profile.Scorers, endpoints.Weighted{EndpointScorer: plugin, Weight: *ref.Weight})
	case saturation.Judge:
		a.unweighted(at, ref, "a filter")
		profile.Filters = append(profile.Filters, saturation.Room{Judge: plugin})
	case policies.SaturationDetector:
		a.wrong(at+".pluginRef", "this detector judges the pool, and leaves no endpoint out: name it in flowControl.saturationDetector, and here those that it asks")
	default:
		a.notInProfile(at, ref, policies.ErrWrongKind)
	}
}

// notInProfile reports what a profile refers to and cannot be in it.
func (a *assembly) notInProfile(at string, ref *ProfilePlugin, err error) {
	names := append(append(namesOf[policies.EndpointFilter](a), namesOf[policies.EndpointScorer](a)...), namesOf[policies.EndpointPicker](a)...)
	a.unresolved(at+".pluginRef", ref.PluginRef, "filter, scorer or picker", names, err)
}

// unweighted warns of the weight of what has none.
func (a *assembly) unweighted(at string, ref *ProfilePlugin, what string) {
	if ref.Weight != nil {
		a.warn(at+".weight", "%s has no weight: it has no effect", what)
	}
}

// prefixProducer checks what a plug-in says of how prompts are remembered.
func (a *assembly) prefixProducer(at string, plugin policies.Plugin) {
	c, ok := plugin.(policies.PrefixConsumer)
	if !ok || c.PrefixProducer() == "" || a.unknown[c.PrefixProducer()] {
		return
	}
	typ, declared := a.named[c.PrefixProducer()]
	if !declared {
		typ = c.PrefixProducer()
	}
	if typ != scheduling.ApproxPrefixType && typ != scheduling.PrecisePrefixType {
		a.wrong(at, "its prefixMatchInfoProducerName %q names no plug-in of type %s or %s", c.PrefixProducer(), scheduling.ApproxPrefixType, scheduling.PrecisePrefixType)
	}
}

// choosesNothing reports whether a plug-in of a profile is there for something else, which
// it does when it is declared.
func (a *assembly) choosesNothing(at string, ref *ProfilePlugin) bool {
	plugin, err := a.set.Named(ref.PluginRef)
	elsewhere := false
	switch plugin.(type) {
	case scheduling.ProfileHandler, *scheduling.ApproxPrefix, policies.StageDecider:
		elsewhere = true
	}
	if needless[a.named[ref.PluginRef]] == "" && needless[ref.PluginRef] == "" && (err != nil || !elsewhere) {
		return false
	}
	a.warn(at, "chooses no endpoint: it has no effect in a profile")
	return true
}
