package core

import (
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// groups tells the ledger of the groups of flows that a statement is about, and learns how
// they stand. It comes after whatever else names flows in a statement, and after the
// messages in a reply: these say what was granted, and it says where that left the groups.
type groups struct {
	bystander
	cfg    *Config
	agenda *agenda
	queues *queues

	carried []shard.GroupStanding // that the turn under way asks for
	stated  map[groupKey]bool     // in the statement of the turn under way
}

type groupKey struct {
	priority int
	path     string
}

func (g *groups) state(_ time.Time, s *store.Statement) {
	if g.cfg.Shard.Groups == nil {
		return
	}
	if g.stated == nil {
		g.stated = make(map[groupKey]bool)
	}
	clear(g.stated)
	for i := range s.Offers {
		o := &s.Offers[i]
		g.name(s, policies.FlowKey{ID: o.Flow, Priority: o.Priority}, o.Group)
	}
	for i := range s.Settlements {
		st := &s.Settlements[i]
		g.name(s, policies.FlowKey{ID: st.Flow, Priority: st.Priority}, st.Group)
	}
	g.ask(g.queues.set.Noted(s.Register || s.Full))
	for _, standing := range g.carried {
		g.add(s, standing)
	}
}

// ask has these groups asked for, with those that the last turns did for without an answer: each once,
// as it stands now, however many turns are lost.
func (g *groups) ask(noted []shard.GroupStanding) {
	if len(g.carried) > 0 {
		again := make(map[groupKey]bool, len(noted))
		for _, of := range noted {
			again[groupKey{of.Priority, of.Path}] = true
		}
		g.carried = slices.DeleteFunc(g.carried, func(of shard.GroupStanding) bool { return again[groupKey{of.Priority, of.Path}] })
	}
	g.carried = append(g.carried, noted...)
}

// name states the groups that a flow is in, unless it was in others when that path was
// noted.
func (g *groups) name(s *store.Statement, flow policies.FlowKey, path string) {
	if path == "" || g.stated[groupKey{flow.Priority, path}] {
		return
	}
	for _, of := range g.cfg.Shard.GroupsOf(flow) {
		if of.Path == path || strings.HasPrefix(path, of.Path+"/") {
			g.add(s, g.queues.set.Standing(flow.Priority, of))
		}
	}
}

// add states one group.
func (g *groups) add(s *store.Statement, of shard.GroupStanding) {
	key := groupKey{of.Priority, of.Path}
	if g.stated[key] {
		return
	}
	g.stated[key] = true
	st := store.Group{Priority: of.Priority, Path: of.Path, Weight: of.Weight}
	if s.Register {
		st.Counter, st.Known, st.VirtualTime, st.Level = of.Counter, of.Known, of.VirtualTime, of.Level
	}
	s.Groups = append(s.Groups, st)
}

func (g *groups) learn(_ time.Time, _ *store.Statement, r *store.Reply) {
	g.carried = g.carried[:0]
	for i := range r.Groups {
		of := &r.Groups[i]
		g.queues.set.LearnGroup(shard.GroupStanding{
			Group: shard.Group{Path: of.Path}, Priority: of.Priority, Counter: of.Counter, Known: of.Known, VirtualTime: of.VirtualTime, Level: of.Level,
		})
		g.agenda.touched = true
	}
}
