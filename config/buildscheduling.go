package config

import (
	"errors"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/scheduling"
)

// scheduling builds the profile, and finds out where endpoints come from.
func (b *builder) scheduling() {
	f := b.file
	if f.RequestHandler != nil || f.Parser != nil {
		path := "requestHandler"
		if f.RequestHandler == nil {
			path = "parser"
		}
		b.warn(path, "the OpenAI API is always understood: it has no effect")
	}
	switch n := len(f.SchedulingProfiles); {
	case n == 0:
		f.SchedulingProfiles = b.defaultProfile()
	case n > 1:
		b.wrong("schedulingProfiles[1]", "there is one profile for all requests; keep one")
	}
	b.plan.Profile = b.profile("schedulingProfiles[0]", &f.SchedulingProfiles[0])
	if f.DataLayer != nil {
		b.dataLayer(f.DataLayer)
	}
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
		picker, err := b.set.Picker(ref.PluginRef)
		switch {
		case err == nil && profile.Picker != nil:
			b.wrong(at, "is a second picker; keep one")
		case err == nil && ref.Weight != nil:
			b.wrong(at+".weight", "a picker has no weight; leave it out")
		case err == nil:
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

func (b *builder) dataLayer(d *DataLayer) {
	for path, given := range map[string]bool{
		"dataLayer.injectDefaults": d.InjectDefaults != nil, "dataLayer.sources": d.Sources != nil,
		"dataLayer.peerDiscovery": d.PeerDiscovery != nil, "dataLayer.crossReplicaSyncerPluginRef": d.CrossReplicaSyncerPluginRef != "",
		"dataLayer.crossReplicaSyncInterval": d.CrossReplicaSyncInterval != nil,
	} {
		if given {
			b.warn(path, "Weir does this without being told: it has no effect")
		}
	}
	if d.Discovery == nil {
		return
	}
	const path = "dataLayer.discovery.pluginRef"
	plugin := refer(b, path, d.Discovery.PluginRef, "discovery plug-in", b.set.Named)
	file, ok := plugin.(*endpoints.FileDiscovery)
	if !ok {
		if plugin != nil {
			b.wrong(path, "must be of type %s, the only discovery there is here; see weir.discovery for others", endpoints.FileDiscoveryType)
		}
		return
	}
	if w := &b.file.Weir.Discovery; w.File == "" {
		w.File, w.Once = file.Path, !file.WatchFile
	} else {
		b.wrong(path, "weir.discovery names a file, too; keep one of them")
	}
}
