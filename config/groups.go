package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weirflow/weir/shard"
)

// maxDepth is how many groups may be in each other.
const maxDepth = 4

// newGroups returns each group with those that it is in before it. Flows that are in a group
// directly which has others in it share one beside those; see [shard.Others].
func newGroups(all []Group) map[string][]shard.Group {
	weights, parents := make(map[string]float64), make(map[string]bool)
	for _, g := range all {
		weights[g.Name] = g.Weight
		if at := strings.LastIndexByte(g.Name, '/'); at > 0 {
			parents[g.Name[:at]] = true
		}
	}
	groups := make(map[string][]shard.Group)
	for name := range weights {
		var path []shard.Group
		for i := range name {
			if name[i] == '/' {
				path = append(path, shard.Group{Path: name[:i], Weight: weightOr1(weights[name[:i]])})
			}
		}
		path = append(path, shard.Group{Path: name, Weight: weightOr1(weights[name])})
		if parents[name] {
			path = append(path, shard.Group{Path: name + "/" + shard.Others, Weight: 1})
		}
		groups[name] = path
	}
	return groups
}

// newMaxima returns the maxima of groups that have one.
func newMaxima(all []Group) map[string]shard.Maximum {
	maxima := make(map[string]shard.Maximum)
	for _, g := range all {
		if !g.Maximum.IsZero() {
			maxima[g.Name] = shard.Maximum{Requests: g.Maximum.Requests, Part: float64(g.Maximum.Part)}
		}
	}
	return maxima
}

// maximumOf is the maximum of the group of that name; zero for none.
func (w *Weir) maximumOf(name string) Maximum {
	for i := range w.Groups {
		if w.Groups[i].Name == name {
			return w.Groups[i].Maximum
		}
	}
	return Maximum{}
}

// newGuaranteed returns what groups are guaranteed of the pool.
func newGuaranteed(all []Group) map[string]float64 {
	guaranteed := make(map[string]float64)
	for _, g := range all {
		if g.Guaranteed > 0 {
			guaranteed[g.Name] = float64(g.Guaranteed)
		}
	}
	return guaranteed
}

func weightOr1(w float64) float64 {
	if w > 0 {
		return w
	}
	return 1
}

// Groups returns the groups that a flow is in, the outermost first: the one that its setting
// names, or the innermost whose name its id begins with, before a slash. Flows in none share
// one.
func (fs *Flows) Groups(id string) []shard.Group {
	if f := fs.find(id); f != nil && f.Group != "" {
		if groups := fs.groups[f.Group]; groups != nil {
			return groups
		}
	}
	if groups := fs.groups[fs.groupOf(id)]; groups != nil {
		return groups
	}
	return []shard.Group{{Path: shard.Others, Weight: 1}}
}

// groupOf is the name of the innermost group that a flow's id begins with; empty for none.
func (fs *Flows) groupOf(id string) string {
	for name := id; name != ""; {
		if fs.groups[name] != nil {
			return name
		}
		at := strings.LastIndexByte(name, '/')
		if at < 0 {
			break
		}
		name = name[:at]
	}
	return ""
}

// Maxima returns what groups may have of the pool at most, by their paths.
func (fs *Flows) Maxima() map[string]shard.Maximum { return fs.maxima }

// Guaranteed returns what groups have of the pool at least while they wait, by their paths, from
// 0 to 1.
func (fs *Flows) Guaranteed() map[string]float64 { return fs.guaranteed }

// HasGroups reports whether there are groups.
func (fs *Flows) HasGroups() bool { return len(fs.groups) > 0 }

// GroupNames returns the names of the groups, in order; nil where there are none.
func (fs *Flows) GroupNames() []string { return slices.Sorted(maps.Keys(fs.groups)) }

// groups checks the groups, and which flows are said to be in them.
func (b *builder) groups() {
	w := &b.file.Weir
	listed := make(map[string]bool)
	for i := range w.Groups {
		g := &w.Groups[i]
		path := indexed("weir.groups", i)
		if !b.given(path + ".weight") {
			g.Weight = 1
		}
		if !(g.Weight > 0 && g.Weight <= 1e6) {
			b.wrong(path+".weight", "must be above 0 and at most 1000000")
		}
		if problem := badGroup(g.Name); problem != "" {
			b.wrong(path+".name", "%s", problem)
		} else if listed[g.Name] {
			b.wrong(path+".name", "the group is listed above")
		}
		listed[g.Name] = true
	}
	for i := range w.Groups {
		g := &w.Groups[i]
		at := strings.LastIndexByte(g.Name, '/')
		if at > 0 && !listed[g.Name[:at]] && badGroup(g.Name) == "" {
			b.wrong(indexed("weir.groups", i)+".name", "is in a group that is not listed: list %q, too", g.Name[:at])
		}
		for outer := range shard.Around(g.Name[:max(at, 0)]) {
			if most := w.maximumOf(outer); g.Maximum.above(most) {
				b.wrong(indexed("weir.groups", i)+".maximum", "is more than the %v that %q has at most, which it is in", most, outer)
				break
			}
		}
	}
	for i := range w.Flows {
		if f := &w.Flows[i]; f.ID != "" {
			b.grouped(indexed("weir.flows", i)+".group", f.ID, f.Group)
		}
	}
	if w.StrictGroups && len(w.Groups) == 0 {
		b.wrong("weir.strictGroups", "needs weir.groups")
	}
}

// grouped checks the group that a flow's setting names, or that its id does.
func (b *builder) grouped(path, id, group string) {
	fs := &b.plan.Flows
	switch {
	case group != "" && fs.groups[group] == nil:
		b.wrong(path, "%q is no group; list it under weir.groups", group)
	case group == "" && b.file.Weir.StrictGroups && fs.groupOf(id) == "" && len(fs.groups) > 0:
		what := "the flow %q is"
		if strings.Contains(id, "*") {
			what = "flows like %q are"
		}
		b.wrong(strings.TrimSuffix(path, ".group"), what+" in no group, and weir.strictGroups wants one; name its group", id)
	}
}

// badGroup says what is wrong with a group's name.
func badGroup(name string) string {
	names := strings.Split(name, "/")
	switch {
	case len(names) > maxDepth:
		return "names more than 4 groups in each other"
	case len(name) > maxID:
		return fmt.Sprintf("must have up to %d characters", maxID)
	}
	for _, n := range names {
		switch {
		case n == "":
			return "must have a name before, between and after the slashes"
		case strings.ContainsFunc(n, func(c rune) bool { return c <= ' ' || c > '~' || c == '*' }):
			return "may hold printable ASCII characters only, without spaces and *"
		}
	}
	return ""
}
