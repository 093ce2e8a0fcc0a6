package simulation

import (
	"fmt"
	"slices"
	"strings"

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

// backlogged are the classes that always have something waiting.
func (c *Config) backlogged() (all []class) {
	add := func(of class) {
		if !slices.Contains(all, of) {
			all = append(all, of)
		}
	}
	for i := range c.Flows {
		flow := &c.Flows[i]
		if flow.Light {
			continue
		}
		all = append(all, class{flow.Priority, flow.Group, flow.ID})
		if flow.Group != "" {
			for _, g := range c.groups(flow.Group) {
				if !c.bounded(g.Path) && !c.floored(g.Path) {
					add(class{priority: flow.Priority, group: g.Path})
				}
			}
		}
	}
	return all
}

// gap is the largest difference of service between two backlogged flows of a band that are
// in one group, or two such groups, since the last disturbance.
func (k *counts) gap() (gap float64, most, least class) {
	for _, rivals := range k.rivals {
		first, last := rivals[0], rivals[0]
		for _, a := range rivals {
			if a.got > first.got {
				first = a
			}
			if a.got < last.got {
				last = a
			}
		}
		if by := first.got - last.got; by > gap {
			gap, most, least = by, first.class, last.class
		}
	}
	return gap, most, least
}

// part is what a flow gets of the pool at least while all flows wait. What is guaranteed to a
// group beside its own, in the group around both, is a part of what that has: of this all that is
// left goes by weight, at least.
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
	part := max(0, 1-c.prioritiesBeside(flow.Priority)-c.lightAbove(flow.Priority)) * c.byWeight(flow.Priority)
	if flow.Group != "" {
		for _, g := range c.groups(flow.Group) {
			part = max(0, part-c.floorsBeside(g.Path)) * weigh(g.Path, g.Weight)
			if most := maximum(c.Maxima[g.Path], c.Limit); most > 0 { // of which others in it are guaranteed something, too
				part *= min(1, float64(most)/float64(c.Limit))
			}
		}
	}
	return part * weigh("", flow.Weight)
}

// lightAbove is what Light flows of higher priorities take of the pool: from the grant of a request
// until the ledger hears of its end, but for when their clients rest.
func (c *Config) lightAbove(priority int) (sum float64) {
	taken := c.Service + 2*c.RoundTrip
	for i := range c.Flows {
		if flow := &c.Flows[i]; flow.Light && flow.Priority > priority {
			sum += float64(flow.Clients*len(flow.Replicas)) * float64(taken) / float64(taken+lightRest)
		}
	}
	return sum / float64(c.Limit)
}
