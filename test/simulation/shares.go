package simulation

import (
	"fmt"
	"strings"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// class is a flow, or a group of flows in a band.
type class struct {
	priority int
	group    string // its path; of a flow, that of the group it is in
	flow     string // empty for a group
}

func (c class) String() string {
	if c.flow == "" {
		return fmt.Sprintf("group %s at priority %d", c.group, c.priority)
	}
	return fmt.Sprintf("flow %s at priority %d", c.flow, c.priority)
}

// among is the group in which the class is compared with others.
func (c class) among() class {
	if c.flow != "" {
		return class{priority: c.priority, group: c.group}
	}
	at := max(0, strings.LastIndexByte(c.group, '/'))
	return class{priority: c.priority, group: c.group[:at]}
}

// groups are those that a flow is in, the outermost first.
func (c *Config) groups(path string) (groups []shard.Group) {
	for i := range path + "/" {
		if i == len(path) || path[i] == '/' {
			groups = append(groups, shard.Group{Path: path[:i], Weight: c.Groups[path[:i]]})
		}
	}
	return groups
}

// groupsOf returns what a replica is told of the groups that flows are in.
func (c *Config) groupsOf() func(id string) []shard.Group {
	if len(c.Groups) == 0 {
		return nil
	}
	of := make(map[string][]shard.Group)
	for i := range c.Flows {
		of[c.Flows[i].ID] = c.groups(c.Flows[i].Group)
	}
	return func(id string) []shard.Group {
		if groups := of[id]; groups != nil {
			return groups
		}
		return []shard.Group{{Path: shard.Others, Weight: 1}}
	}
}

// serve notes that a request of the flow was granted.
func (f *fleet) serve(flow *Flow, key policies.FlowKey) {
	if !flow.Light {
		f.service[class{key.Priority, flow.Group, key.ID}] += 1 / flow.Weight
	}
	if flow.Group != "" {
		for _, g := range f.cfg.groups(flow.Group) {
			f.service[class{priority: key.Priority, group: g.Path}] += 1 / g.Weight
		}
	}
}

// backlogged are the classes that always have something waiting.
func (c *Config) backlogged() map[class]bool {
	all := make(map[class]bool)
	for i := range c.Flows {
		flow := &c.Flows[i]
		if flow.Light {
			continue
		}
		all[class{flow.Priority, flow.Group, flow.ID}] = true
		if flow.Group != "" {
			for _, g := range c.groups(flow.Group) {
				if !c.bounded(g.Path) && !c.floored(g.Path) {
					all[class{priority: flow.Priority, group: g.Path}] = true
				}
			}
		}
	}
	return all
}

// gap is the largest difference of service between two backlogged flows of a band that are
// in one group, or two such groups, since the last disturbance.
func (f *fleet) gap() (gap float64, most, least class) {
	type extreme struct {
		most, least class
		high, low   float64
		known       bool
	}
	among := make(map[class]*extreme)
	for c := range f.backlogs {
		got := f.service[c]
		e := among[c.among()]
		if e == nil {
			e = &extreme{}
			among[c.among()] = e
		}
		if !e.known || got > e.high {
			e.high, e.most = got, c
		}
		if !e.known || got < e.low {
			e.low, e.least = got, c
		}
		e.known = true
		if e.high-e.low > gap {
			gap, most, least = e.high-e.low, e.most, e.least
		}
	}
	return gap, most, least
}

// part is what a flow gets of its band at least while all flows wait.
func (c *Config) part(flow *Flow) float64 {
	weigh := func(path string, weight float64) float64 {
		sum, seen := 0.0, make(map[string]bool)
		for i := range c.Flows {
			other := &c.Flows[i]
			switch {
			case path == "" && other.Group == flow.Group: // flows of one group
				sum += other.Weight
			case path != "":
				for _, g := range c.groups(other.Group) {
					if g.Path != "" && !seen[g.Path] && (class{group: g.Path}).among() == (class{group: path}).among() {
						seen[g.Path] = true
						sum += g.Weight
					}
				}
			}
		}
		return weight / sum
	}
	part := weigh("", flow.Weight)
	if flow.Group != "" {
		for _, g := range c.groups(flow.Group) {
			part *= weigh(g.Path, g.Weight)
		}
	}
	return part
}
