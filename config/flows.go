package config

import (
	"slices"
	"strings"

	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// Flows has the settings of flows. It does not change, and is safe for concurrent use.
type Flows struct {
	objectives map[string]int
	timeouts   map[string]Timeouts // by objective
	exact      map[string]*Flow
	patterns   []flowPattern
	newcomers  float64                  // weight of all newcomers together
	groups     map[string][]shard.Group // by name: the group, and those that it is in before it
	maxima     map[string]shard.Maximum // of groups, by name
	guaranteed map[string]float64       // to groups, by name
	spanning   map[string]bool          // groups with one share over all pools, by name
	spans      bool                     // flows or groups have one
}

// pattern is a name in which * stands for anything, split there.
type pattern struct{ parts []string }

func newPattern(text string) pattern { return pattern{strings.Split(text, "*")} }

// flowPattern is a pattern of flows' ids.
type flowPattern struct {
	pattern
	flow *Flow
}

func newFlows(w *Weir) Flows {
	fs := Flows{objectives: make(map[string]int), timeouts: newTimeouts(w), exact: make(map[string]*Flow), newcomers: 1}
	fs.groups, fs.maxima, fs.guaranteed = newGroups(w.Groups), newMaxima(w.Groups), newGuaranteed(w.Groups)
	fs.spanning = make(map[string]bool)
	for i := range w.Groups {
		if g := &w.Groups[i]; g.Scope == ScopeFleet {
			fs.spanning[g.Name], fs.spans = true, true
		}
	}
	if w.Newcomers.Weight != nil {
		fs.newcomers = *w.Newcomers.Weight
	}
	for _, o := range w.Objectives {
		fs.objectives[o.Name] = o.Priority
	}
	for i := range w.Flows {
		f := &w.Flows[i]
		fs.spans = fs.spans || f.Scope == ScopeFleet
		if strings.Contains(f.ID, "*") {
			fs.patterns = append(fs.patterns, flowPattern{newPattern(f.ID), f})
		} else if fs.exact[f.ID] == nil && fs.match(f.ID) == nil {
			fs.exact[f.ID] = f
		}
	}
	return fs
}

// match returns the first pattern that matches.
func (fs *Flows) match(id string) *Flow {
	for i := range fs.patterns {
		if fs.patterns[i].matches(id) {
			return fs.patterns[i].flow
		}
	}
	return nil
}

func (fs *Flows) find(id string) *Flow {
	if f := fs.exact[id]; f != nil {
		return f
	}
	return fs.match(id)
}

// Weight returns a flow's share, 1 by default.
func (fs *Flows) Weight(key policies.FlowKey) float64 {
	if key.ID == flows.Newcomer {
		return fs.newcomers
	}
	if f := fs.find(key.ID); f != nil {
		return f.Weight
	}
	return 1
}

// ScopeFleet is the scope of flows and groups that have one share over all pools.
const ScopeFleet = "fleet"

// Spans reports whether flows or groups have one share over all pools.
func (fs *Flows) Spans() bool { return fs.spans }

// SpansPools reports whether a flow has one share over all pools.
func (fs *Flows) SpansPools(id string) bool {
	f := fs.find(id)
	return f != nil && f.Scope == ScopeFleet && id != flows.Newcomer
}

// GroupSpansPools reports whether a group has, by its path.
func (fs *Flows) GroupSpansPools(path string) bool { return fs.spanning[path] }

// Limit returns a flow's own limits.
func (fs *Flows) Limit(id string) shard.Limit {
	f := fs.find(id)
	if f == nil || id == flows.Newcomer {
		return shard.Limit{}
	}
	return shard.Limit{MaxInFlight: f.MaxInFlight, TokensPerMinute: f.TokensPerMinute, Reject: f.OverLimit == "reject"}
}

// Priority returns the priority of a request of the flow that names the objective, which
// may be empty, and whether that one is declared. A known objective holds, if the flow may name it; what a flow is set to
// holds for requests that name none, or an unknown one. None is above the flow's highest.
// Objectives that are known elsewhere, and come first, are what the function says.
func (fs *Flows) Priority(flow, objective string, elsewhere func(objective string) (priority int, known bool)) (p int, declared bool) {
	f := fs.find(flow)
	if f == nil {
		f = &Flow{}
	}
	p, declared = elsewhere(objective)
	if !declared {
		p, declared = fs.objectives[objective]
	}
	if known := declared && (f.Objectives == nil || slices.Contains(f.Objectives, objective)); !known {
		if p = 0; f.Priority != nil {
			p = *f.Priority
		}
	}
	if f.MaxPriority != nil {
		p = min(p, *f.MaxPriority)
	}
	return p, declared
}

// Rule returns which setting holds for a flow: its own id, or a pattern; empty if none does.
func (fs *Flows) Rule(flow string) string {
	if fs.exact[flow] != nil {
		return flow
	}
	if f := fs.match(flow); f != nil {
		return f.ID
	}
	return ""
}

func (p *pattern) text() string { return strings.Join(p.parts, "*") }

// overlaps reports whether a text can match both patterns, each of which has a *: beginnings
// and ends must agree, and between them there is room for what both ask for.
func (p *pattern) overlaps(q *pattern) bool {
	a, b := p.parts[0], q.parts[0]
	y, z := p.parts[len(p.parts)-1], q.parts[len(q.parts)-1]
	return (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) && (strings.HasSuffix(y, z) || strings.HasSuffix(z, y))
}

// matches reports whether the text matches; it is asked several times a request.
func (p *pattern) matches(text string) bool {
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}
