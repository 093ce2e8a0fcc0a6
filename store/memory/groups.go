package memory

import (
	"maps"
	"math"
	"strings"
	"time"

	"github.com/weirflow/weir/store"
)

// Groups share what the group gets that they are in, and those at the top share the band:
// by their weights, among those that have an offer. It is start-time fair queueing at every
// level: a group has a counter, which what is served in it moves, for its weight; the
// lowest goes next; and a group whose first flow comes to wait is lifted to V where it is
// compared, so that idling earns nothing. A group is charged what its flows cost, whatever
// they weigh, and requests where the band's policy counts nothing.

// group returns the group of that path, made with those that it is in if it is new; the top
// for an empty path.
func (b *book) group(path string, now time.Time) *node {
	if path == "" {
		return &b.node
	}
	if f := b.groups[path]; f != nil {
		return f.group
	}
	parent, _ := cutLast(path)
	f := &flow{id: path, in: b.group(parent, now), group: newNode(b), since: now}
	f.group.as, f.idleNode.Value = f, f
	b.groups[path] = f
	f.in.groups++
	f.in.idle.PushBack(&f.idleNode)
	return f.group
}

// known returns the group of that path, or nil.
func (b *book) known(path string) *node {
	if path == "" {
		return &b.node
	}
	if f := b.groups[path]; f != nil {
		return f.group
	}
	return nil
}

// cutLast splits a path before its last name.
func cutLast(path string) (parent, name string) {
	if at := strings.LastIndexByte(path, '/'); at >= 0 {
		return path[:at], path[at+1:]
	}
	return "", path
}

// path is the group's; empty at the top.
func (n *node) path() string {
	if n.as == nil {
		return ""
	}
	return n.as.id
}

// begin puts a group among its like when the first of its flows comes to wait; that many
// of the groups from here outwards were idle in the eyes of the owner.
func (n *node) begin(idle int) {
	g := n.as
	if g == nil {
		return
	}
	in := g.in
	switch {
	case !g.known:
		g.counter, g.known = in.beginning(), true
	case idle > 0:
		g.counter = max(g.counter, in.v)
	}
	began := in.waiting.Len() == 0
	g.idleNode.Remove()
	in.waiting.Push(g)
	g.weigh(n.share)
	if began {
		in.begin(idle - 1)
	}
}

// service is what a grant of the offer is for the groups that its flow is in.
func (o *offer) service() float64 {
	if !o.flow.in.book.countsService {
		return 1
	}
	return o.Charge * o.weight()
}

// serveGroups charges the groups from here outwards, which wait, for a grant.
//
// One that goes out of turn, since it is due to it, moves V no further than what waits. And it
// is charged until it is so many charges ahead of V as its guarantee keeps requests in
// flight: more would be held against it for as long as it was given more than its share by
// weight, once it is not any more.
func (n *node) serveGroups(service, kept float64) {
	for ; n.as != nil; n = n.as.in {
		g, in := n.as, n.as.in
		charge := service * n.book.scale / n.share
		reached := in.waiting.Min().rank()
		in.v, in.level = max(in.v, reached), max(in.level, reached)
		if g.counter > reached {
			charge = min(charge, max(0, in.v+kept*charge-g.counter))
		}
		g.counter += charge
		in.follow(charge, g.counter, n.share)
		in.waiting.Fix(g)
	}
}

// settleGroups corrects what the groups from here outwards were charged; one that was
// forgotten begins anew.
func (n *node) settleGroups(service float64, follows bool) {
	for ; n.as != nil; n = n.as.in {
		if !n.as.known {
			n.as.counter, n.as.known = n.as.in.beginning(), true
		}
		n.as.correct(service*n.book.scale/n.share, n.share, follows)
		n.as.moved()
	}
}

// spendGroups charges the groups from here outwards for what was let go by float, of which
// the last was so much.
func (n *node) spendGroups(service, last float64, now time.Time) {
	for ; n.as != nil; n = n.as.in {
		g := n.as
		switch {
		case !g.known:
			g.counter, g.known = g.in.beginning(), true
		case !g.waits():
			g.counter = max(g.counter, g.in.v)
		}
		g.charge(service*n.book.scale/n.share, last*n.book.scale/n.share, n.share)
		g.settled(now)
	}
}

// regroup takes in what a replica states of groups.
func (l *Ledger) regroup(r *replica, s *store.Statement, now time.Time) {
	for i := range s.Groups {
		st := &s.Groups[i]
		b := l.bookOf(r, st.Priority)
		if b == nil {
			continue // a band it did not state
		}
		n := b.group(st.Path, now)
		if n.as == nil {
			continue
		}
		n.reweigh(st.Weight)
		if !s.Register {
			continue
		}
		n.v = max(n.v, st.VirtualTime*b.scale)
		n.level = max(n.level, st.Level*b.scale, n.v)
		if counter := st.Counter * b.scale; st.Known && (!n.as.known || n.as.counter < counter) {
			n.as.counter, n.as.known = counter, true
			n.as.moved()
		}
	}
}

// reweigh takes over a group's weight.
func (n *node) reweigh(weight float64) {
	if !(weight > 0) || math.IsInf(weight, 1) {
		weight = 1
	}
	n.share = weight
	if n.as.waits() {
		n.as.weigh(weight)
	}
}

// groups fills in how the stated groups stand.
func (l *Ledger) groups(reply *store.Reply, r *replica, s *store.Statement) {
	reply.Groups = reply.Groups[:0]
	for i := range s.Groups {
		st := &s.Groups[i]
		total := store.Group{Priority: st.Priority, Path: st.Path, Weight: 1}
		if b := l.bookOf(r, st.Priority); b != nil {
			if n := b.known(st.Path); n != nil && n.as != nil {
				total.Weight, total.VirtualTime, total.Level = n.share, n.v/b.scale, n.level/b.scale
				if total.Known = n.as.known; total.Known {
					total.Counter = n.as.counter / b.scale
				}
			}
		}
		reply.Groups = append(reply.Groups, total)
	}
}

// holds reports whether an offer stands in a group, or in one in it that is shut.
func (n *node) holds() bool {
	for path, g := range n.book.groups {
		if within(path, n.as.id) && g.group.waiting.Len() > 0 {
			return true
		}
	}
	return false
}

// forget forgets a group of which nothing waits, and all that is in it: that has been idle
// for as long.
func (n *node) forget() {
	g := n.as
	g.in.groups--
	maps.DeleteFunc(n.book.groups, func(path string, _ *flow) bool { return within(path, g.id) })
}
