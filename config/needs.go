package config

import (
	"slices"
	"strings"
)

// later reports what a flag may still give where only a file is checked: there it is a warning.
func (c *checks) later(path, format string, args ...any) {
	if c.options.Unlocated {
		c.warn(path, format, args...)
	} else {
		c.wrong(path, format, args...)
	}
}

// needs warns of settings that have no effect without another one, which is not given. Those of
// several pools are looked at for the pool that gives them.
func (b *builder) needs() {
	w := &b.file.Weir
	x, d, s, f := &w.ExtProc, &w.Discovery, &w.Store, &w.Fleet
	for _, of := range []struct {
		what  string // that is needed
		there bool
		paths []string
	}{
		{"weir.extProc.listen", x.Listen != "", []string{"weir.extProc.cert", "weir.extProc.poolHeader", "weir.extProc.poolAttribute", "weir.extProc.fallbacks"}},
		{"weir.discovery.file", d.File != "", []string{"weir.discovery.once"}},
		{"weir.discovery.dns", d.DNS != "", []string{"weir.discovery.dnsInterval"}},
		{"weir.discovery.inferencePool", d.InferencePool != "" || w.InferencePools != "" || b.overlay != nil, []string{"weir.discovery.kubeconfig"}},
		{"weir.store.redis", s.Redis != "", []string{"weir.store.passwordFile", "weir.store.onOutage"}},
		{"weir.fleet.gossip", f.Gossip != "", []string{
			"weir.fleet.peer", "weir.fleet.advertise", "weir.fleet.gossipKeyFile", "weir.fleet.peerCert", "weir.fleet.insecure",
		}},
		{"weir.newcomers.for", w.Newcomers.For != nil && *w.Newcomers.For > 0, []string{"weir.newcomers.weight"}},
	} {
		for _, path := range of.paths {
			if !of.there && b.given(path) && !b.at(path).unread && !b.others(path) {
				b.warn(path, "has no effect without %s", b.called(of.what, path))
			}
		}
	}
	const fallbacks = "weir.extProc.fallbacks"
	if x.Listen != "" && x.Fallbacks > 0 && (x.AdmissionOnly || b.delegates() && !x.Picker.FailOpen) {
		b.warn(fallbacks, "has no effect: no endpoints are named here where %s is given", b.called(b.chooser(), fallbacks))
	}
	if x.Picker.CA != "" && x.Picker.InsecureSkipVerify {
		b.warn("weir.extProc.picker.ca", "has no effect: certificates are taken unseen, by %s", b.called("weir.extProc.picker.insecureSkipVerify", "weir.extProc.picker.ca"))
	}
	if b.given("weir.memoryBudget") && w.MemoryBudget < w.MaxBody {
		b.warn("weir.memoryBudget", "is less than a body may have, %v by %s: larger ones are refused", w.MaxBody, b.called("weir.maxBody", "weir.memoryBudget"))
	}
	b.needsOfFlows()
}

// others reports whether a setting is for pools to say whether it has an effect: it is the file's,
// and pools may say where their endpoints come from.
func (b *builder) others(path string) bool {
	if !strings.HasPrefix(path, "weir.discovery.") && !strings.HasPrefix(path, "weir.newcomers.") {
		return b.overlay != nil // it was told of the file
	}
	return b.several() && b.overlay == nil || b.overlay != nil && !b.at(path).own
}

// chooser is the setting by which another chooses endpoints.
func (b *builder) chooser() string {
	if b.file.Weir.ExtProc.AdmissionOnly {
		return "weir.extProc.admissionOnly"
	}
	return "weir.extProc.picker"
}

// needsOfFlows warns of what has no effect in the settings of flows.
func (b *builder) needsOfFlows() {
	var before []pattern
	for i := range b.file.Weir.Flows {
		f, path := &b.file.Weir.Flows[i], indexed("weir.flows", i)
		if b.overlay != nil && !b.at(path).own {
			return // told of the file
		}
		if f.OverLimit != "" && f.MaxInFlight == 0 && f.TokensPerMinute == 0 {
			b.warn(path+".overLimit", "has no effect: the flow has no limit of its own; give maxInFlight or tokensPerMinute, too")
		}
		if f.Priority != nil && f.MaxPriority != nil && *f.Priority > *f.MaxPriority {
			b.warn(path+".priority", "has no effect: %d is the highest that maxPriority leaves it", *f.MaxPriority)
		}
		// A pattern that matches the text of another matches all that the other does.
		if k := slices.IndexFunc(before, func(p pattern) bool { return len(p.parts) > 1 && p.matches(f.ID) }); k >= 0 {
			b.warn(path+".id", "has no effect: %q, above it, matches as well, and the first that matches holds", before[k].text())
		}
		before = append(before, newPattern(f.ID))
	}
}
