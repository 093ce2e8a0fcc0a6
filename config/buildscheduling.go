package config

import (
	"errors"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/scheduling"
)

// scheduling builds the profile.
func (b *builder) scheduling() {
	f := b.file
	if b.elsewhere() {
		b.tellLeft()
		f.SchedulingProfiles = b.defaultProfile() // for what comes by HTTP, and where no picker chooses
		b.plan.Profile = b.profile("schedulingProfiles[0]", &f.SchedulingProfiles[0])
		return
	}
	for i := range f.SchedulingProfiles {
		if path := indexed("schedulingProfiles", i); f.SchedulingProfiles[i].Name == "" {
			b.wrong(path, "name is missing; give the profile's name, such as default")
		}
	}
	switch n := len(f.SchedulingProfiles); {
	case n == 0:
		f.SchedulingProfiles = b.declaredProfile()
	case n > 1:
		b.wrong("schedulingProfiles[1]", "there is one profile for all requests; keep one")
	}
	b.plan.Profile = b.profile("schedulingProfiles[0]", &f.SchedulingProfiles[0])
}

// declaredProfile is what holds without a section: what the declared plug-ins are, or the
// default where none of them chooses endpoints.
func (b *builder) declaredProfile() []Profile {
	p := Profile{Name: "default"}
	for _, plugin := range b.declared {
		switch plugin.(type) {
		case policies.EndpointScorer, policies.EndpointPicker:
			p.Plugins = append(p.Plugins, ProfilePlugin{PluginRef: plugin.TypedName().Name})
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

func (b *builder) profile(path string, p *Profile) (profile endpoints.Profile) {
	prefix := false
	for i := range p.Plugins {
		ref, at := &p.Plugins[i], indexed(path+".plugins", i)
		if b.choosesNothing(at, ref) {
			continue
		}
		picker, err := b.set.Picker(ref.PluginRef)
		switch {
		case err == nil && profile.Picker != nil:
			b.wrong(at, "is a second picker; keep one")
		case err == nil:
			if ref.Weight != nil {
				b.warn(at+".weight", "a picker has no weight: it has no effect")
			}
			profile.Picker = picker
		case errors.Is(err, policies.ErrWrongKind):
			if ref.Weight == nil {
				one := 1.0
				ref.Weight = &one
			}
			if !(*ref.Weight >= 0 && *ref.Weight <= 1e6) {
				b.wrong(at+".weight", "must be from 0 to 1000000")
			}
			scorer := refer(b, at+".pluginRef", ref.PluginRef, "scorer", b.set.Scorer)
			if _, reads := scorer.(policies.PrefixReader); reads {
				if prefix {
					b.wrong(at, "is a second prefix-cache-scorer; keep one")
				}
				prefix = true
			}
			profile.Scorers = append(profile.Scorers, endpoints.Weighted{EndpointScorer: scorer, Weight: *ref.Weight})
		default:
			names := append(namesOf[policies.EndpointScorer](b), namesOf[policies.EndpointPicker](b)...)
			b.unresolved(at+".pluginRef", ref.PluginRef, "scorer or picker", names, err)
		}
	}
	if profile.Picker == nil {
		p.Plugins = append(p.Plugins, ProfilePlugin{PluginRef: scheduling.MaxScoreType})
		profile.Picker = refer(b, path, scheduling.MaxScoreType, "picker", b.set.Picker)
	}
	return profile
}

// choosesNothing reports whether a plug-in of a profile is there for something else, which
// it does when it is declared.
func (b *builder) choosesNothing(at string, ref *ProfilePlugin) bool {
	plugin, err := b.set.Named(ref.PluginRef)
	_, handler := plugin.(scheduling.SingleProfile)
	if needless[b.named[ref.PluginRef]] == "" && needless[ref.PluginRef] == "" && (err != nil || !handler) {
		return false
	}
	b.warn(at, "chooses no endpoint: it has no effect in a profile")
	return true
}
