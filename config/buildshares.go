package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/bands"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
)

// The short names of band policies.
var bandPolicies = map[string]string{"": bands.StrictType, "strict": bands.StrictType, "weighted": bands.WeightedType}

// bandPolicy builds how priorities share what is not guaranteed. It has two names.
func (b *builder) bandPolicy() {
	w, other := &b.file.Weir.BandPolicy, &b.file.FlowControl.BandSelectionPolicyPluginRef
	const path, otherPath = "weir.bandPolicy", "flowControl.bandSelectionPolicyPluginRef"
	at := path
	switch {
	case *other == "" || b.at(path).own && !b.at(otherPath).own: // a pool's is instead of the file's
	case *w == "" || b.at(otherPath).own && !b.at(path).own:
		at, *w = otherPath, *other
	case b.bandType(*w) != b.bandType(*other):
		b.wrong(otherPath, "is another name of weir.bandPolicy, which says %s; keep one", *w)
	}
	*w, *other = b.bandType(*w), ""
	b.plan.BandPolicy = refer(&b.assembly, at, *w, "band policy", b.set.Band)
}

// bandType is what a short name of a band policy stands for, or the name itself, which also
// a plug-in may have that the file declares.
func (a *assembly) bandType(name string) string {
	if _, declared := a.named[name]; declared {
		return name
	}
	if typ, short := bandPolicies[name]; short {
		return typ
	}
	return name
}

// shares checks what priorities are guaranteed of the pool, and how they share the rest.
func (b *builder) shares() {
	b.bandPolicy()
	b.plan.Guaranteed, b.plan.weights = make(map[int]float64), make(map[int]float64)
	sum := Share(0)
	for i, band := range b.file.Weir.Bands {
		path := indexed("weir.bands", i)
		if !b.given(path + ".priority") {
			b.wrong(path, "priority is missing; give the band's number")
			continue
		}
		b.priority(path+".priority", band.Priority)
		if _, twice := b.plan.Guaranteed[band.Priority]; twice {
			b.wrong(path+".priority", "the band of this priority is listed above")
			continue
		}
		b.weight(path, &band)
		switch before := sum; {
		case !b.given(path+".guaranteed") && !b.given(path+".weight"):
			b.wrong(path, "guaranteed or weight is missing; give a percentage of the pool such as 20%%, or a weight such as 2")
		case before+band.Guaranteed > 1+1e-9:
			b.wrong(path+".guaranteed", "%v are guaranteed above: together that is more than the pool", before)
		default:
			sum += band.Guaranteed
		}
		b.plan.Guaranteed[band.Priority] = float64(band.Guaranteed)
	}
	b.floors(sum)
}

// weight takes up a band's weight.
func (b *builder) weight(path string, band *BandShare) {
	path += ".weight"
	switch _, strict := b.plan.BandPolicy.(*bands.Strict); {
	case !b.given(path):
	case !(band.Weight > 0 && policies.ValidBandWeight(band.Weight)):
		b.wrong(path, "must be from 0.000001 to 1000000")
	case strict && (b.overlay != nil || b.several()) && !b.at(path).own: // it is for those pools that are not strict
	case strict:
		b.wrong(path, "has no effect where a higher priority always goes first; set %s to weighted, or leave it out", b.called("weir.bandPolicy", path))
	default:
		b.plan.weights[band.Priority] = band.Weight
	}
}

// floors checks what groups are guaranteed of the pool, where bands are guaranteed so much: it
// must be there for all of them at once, whatever their requests' priorities.
func (b *builder) floors(bands Share) {
	w := &b.file.Weir
	floors := make(map[string]Share)
	for i := range w.Groups {
		g, path := &w.Groups[i], indexed("weir.groups", i)+".guaranteed"
		if g.Guaranteed == 0 {
			continue
		}
		floors[g.Name] = g.Guaranteed
		need := needed(floors)
		if all := bands + need[""]; all > 1+1e-9 {
			b.wrong(path, "with what else is guaranteed to groups and bands that is %v, more than the pool", all)
			delete(floors, g.Name)
			continue
		}
		for outer := range shard.Around(g.Name) {
			most := w.maximumOf(outer).Part
			switch {
			case most == 0 || need[outer] <= most+1e-9:
				continue
			case outer == g.Name:
				b.wrong(path, "is more than the %v that it has at most", most)
			default:
				b.wrong(path, "with what else is guaranteed in %q that is %v, more than the %v that it has at most", outer, need[outer], most)
			}
			break
		}
	}
}

// spanning warns of a flow's share over all pools where a band's policy takes no account of
// weights, by which that is kept. Groups have weights under any policy.
func (b *builder) spanning() {
	flows := b.file.Weir.Flows
	i := slices.IndexFunc(flows, func(f Flow) bool { return f.Scope == ScopeFleet })
	if i < 0 {
		return
	}
	at := indexed("weir.flows", i) + ".scope"
	var strict []string
	note := func(path string, band shard.BandConfig) {
		if _, ok := band.Fairness.(*fairness.GlobalStrict); ok {
			strict = append(strict, b.called(path, at))
		}
	}
	const usual, negative = "flowControl.defaultPriorityBand", "flowControl.defaultNegativePriorityBand"
	note(usual, b.plan.Default)
	if b.given(negative) {
		note(negative, b.plan.Negative)
	}
	for k := range b.file.FlowControl.PriorityBands {
		note(indexed("flowControl.priorityBands", k), b.plan.Bands[b.file.FlowControl.PriorityBands[k].Priority])
	}
	if len(strict) > 0 {
		b.warn(at, "has no effect in %s, where %s takes no account of weights; set fairnessPolicyRef there to one that does, such as %s",
			strings.Join(strict, ", "), fairness.GlobalStrictType, fairness.RoundRobinType)
	}
}

// needed is what each group needs for what is guaranteed to it and in it, and, by an empty
// name, what all need.
func needed(floors map[string]Share) map[string]Share {
	need := maps.Clone(floors)
	for name := range floors {
		for outer := range shard.Around(name) {
			need[outer] = max(need[outer], 0)
		}
	}
	inwards := slices.SortedFunc(maps.Keys(need), func(a, b string) int {
		return cmp.Or(strings.Count(b, "/")-strings.Count(a, "/"), strings.Compare(a, b))
	})
	inside := make(map[string]Share)
	for _, name := range inwards {
		need[name] = max(need[name], inside[name])
		inside[name[:max(0, strings.LastIndexByte(name, '/'))]] += need[name]
	}
	need[""] = inside[""]
	return need
}
