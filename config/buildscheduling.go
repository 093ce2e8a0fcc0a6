package config

import (
	"errors"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/scheduling"
)

// scheduling builds the profile, and finds out where endpoints come from.
func (b *builder) scheduling() {
	f := &b.file
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
	b.discovery()
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
				b.wrong(at+".weight", "%v is not from 0 to 1000000", *ref.Weight)
			}
			scorer := refer(b, at+".pluginRef", ref.PluginRef, b.set.Scorer)
			if _, reads := scorer.(policies.PrefixReader); reads {
				if prefix {
					b.wrong(at, "is a second prefix-cache-scorer; keep one")
				}
				prefix = true
			}
			profile.Scorers = append(profile.Scorers, endpoints.Weighted{EndpointScorer: scorer, Weight: *ref.Weight})
		default:
			b.unresolved(at+".pluginRef", ref.PluginRef, err)
		}
	}
	if profile.Picker == nil {
		p.Plugins = append(p.Plugins, ProfilePlugin{PluginRef: scheduling.MaxScoreType})
		profile.Picker = refer(b, path, scheduling.MaxScoreType, b.set.Picker)
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
	plugin, err := b.set.Named(d.Discovery.PluginRef)
	if err != nil {
		b.unresolved(path, d.Discovery.PluginRef, err)
		return
	}
	file, ok := plugin.(*endpoints.FileDiscovery)
	if !ok {
		b.wrong(path, "%s is no %s, which is the only discovery there is here; see weir.discovery for others", plugin.TypedName(), endpoints.FileDiscoveryType)
		return
	}
	if w := &b.file.Weir.Discovery; w.File == "" {
		w.File, w.Once = file.Path, !file.WatchFile
	} else {
		b.wrong(path, "weir.discovery names a file, too; keep one of them")
	}
}

// discovery checks that endpoints come from one place.
func (b *builder) discovery() {
	w := &b.file.Weir
	d := &w.Discovery
	if w.EndpointPlaces() > 1 {
		b.wrong("weir.discovery", "endpoints come from one place: give one of weir.endpoints, file, dns and inferencePool")
	}
	if d.File != "" && len(b.problems) == 0 {
		if err := (&endpoints.File{Path: d.File}).Check(); err != nil {
			b.wrong("weir.discovery.file", "%v", err)
		}
	}
	if d.DNS != "" {
		if _, err := endpoints.NewDNS(d.DNS); err != nil {
			b.wrong("weir.discovery.dns", "%v", err)
		}
	}
	if d.InferencePool != "" {
		if namespace, name, ok := strings.Cut(d.InferencePool, "/"); !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
			b.wrong("weir.discovery.inferencePool", "%q is no NAMESPACE/NAME", d.InferencePool)
		}
	}
	fallbackTime(&d.DNSInterval, 5*time.Second)
	if *d.DNSInterval < Duration(100*time.Millisecond) {
		b.wrong("weir.discovery.dnsInterval", "%v is less than 100ms", *d.DNSInterval)
	}
}
