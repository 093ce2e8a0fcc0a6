package config

import (
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/scheduling"
)

// profiles are those of a file, by their names.
type profiles struct {
	first *endpoints.Profile
	named map[string]*endpoints.Profile
	paths map[string]string
	used  map[string]bool
}

// profiles builds all profiles.
func (a *assembly) profiles() *profiles {
	all := &profiles{named: make(map[string]*endpoints.Profile), paths: make(map[string]string), used: make(map[string]bool)}
	for i := range a.file.SchedulingProfiles {
		p, path := &a.file.SchedulingProfiles[i], indexed("schedulingProfiles", i)
		if _, twice := all.named[p.Name]; twice {
			a.wrong(path, "a profile of this name is listed above")
		}
		if p.Name == "" {
			a.wrong(path, "name is missing; give the profile's name, such as default")
		}
		built := a.profile(path, p)
		all.named[p.Name], all.paths[p.Name] = &built, path
		if all.first == nil {
			all.first = &built
		}
	}
	return all
}

// take returns the profile of a name; nil if there is none.
func (all *profiles) take(name string) *endpoints.Profile {
	all.used[name] = true
	return all.named[name]
}

// handled puts the profiles together as their handler says.
func (a *assembly) handled(all *profiles) endpoints.Profile {
	switch h := a.handler.(type) {
	case *scheduling.HeaderProfile:
		return a.byHeader(h, all)
	case *scheduling.Disagg:
		return a.disaggregated(h, all)
	}
	if h, ok := a.handler.(*scheduling.DataParallel); ok {
		all.first.PrimaryPort = h.PrimaryPort
	}
	if len(a.file.SchedulingProfiles) > 1 {
		a.wrong("schedulingProfiles[1]", "nothing says which requests this profile is for; keep one, or declare a %s or a %s", scheduling.HeaderProfileType, scheduling.DisaggType)
	}
	return *all.first
}

// byHeader has requests name their profile. Those without the header go by the only one where
// there is no choice.
func (a *assembly) byHeader(h *scheduling.HeaderProfile, all *profiles) endpoints.Profile {
	name, usual := h.DefaultProfile, all.named[h.DefaultProfile]
	if len(all.named) == 1 {
		name, usual = a.file.SchedulingProfiles[0].Name, all.first
	}
	if usual == nil {
		a.warn(a.declaredAt(h)+".parameters", "there is no profile %q, its defaultProfile: requests without the header %s are answered 400", h.DefaultProfile, h.HeaderName)
		usual = all.first
	}
	profile := *usual
	profile.Choice = &endpoints.Choice{Header: h.HeaderName, Default: name, Profiles: all.named}
	return profile
}

// disaggregated has one profile choose the endpoint that answers, and others those of the
// stages before.
func (a *assembly) disaggregated(h *scheduling.Disagg, all *profiles) endpoints.Profile {
	at := a.declaredAt(h) + ".parameters"
	answers := all.take(h.Profiles.Decode)
	if answers == nil {
		a.wrong(at, "there is no profile %q, by which it chooses the endpoint that answers", h.Profiles.Decode)
		return *all.first
	}
	profile := *answers
	profile.PrimaryPort = h.PrimaryPort
	for _, s := range []struct {
		stage            policies.Stage
		profile, decider string
	}{{policies.Encode, h.Profiles.Encode, h.Deciders.Encode}, {policies.Prefill, h.Profiles.Prefill, h.Deciders.Prefill}} {
		decider := h.Prefill
		if s.stage != policies.Prefill || decider == nil {
			if s.decider == "" {
				continue
			}
			decider = refer(a, at+".deciders."+string(s.stage), s.decider, "decider", a.set.Decider)
		}
		stage := all.take(s.profile)
		if stage == nil {
			a.warn(at, "there is no profile %q: no request goes through the stage %s", s.profile, s.stage)
			continue
		}
		a.prefixProducer(at, decider)
		profile.Stages = append(profile.Stages, endpoints.Stage{Stage: s.stage, Decider: decider, Profile: *stage})
	}
	for name, path := range all.paths {
		if !all.used[name] {
			a.warn(path, "%s uses no profile of this name: it has no effect", h.TypedName().Type)
		}
	}
	return profile
}

// declaredAt is where a plug-in was.
func (a *assembly) declaredAt(p policies.Plugin) string {
	for i := range a.file.Plugins {
		if name := p.TypedName().Name; a.file.Plugins[i].Name == name || a.file.Plugins[i].Name == "" && a.file.Plugins[i].Type == name {
			return indexed("plugins", i)
		}
	}
	return "plugins"
}
