package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// tenants is a replica whose flows are in groups.
type tenants struct {
	*party
	weights map[string]float64
	tickets int
}

// newTenants has groups of the weights given, "path=weight".
func newTenants(t *testing.T, l store.Ledger, band store.Band, groups ...string) *tenants {
	ts := &tenants{party: newParty(t, l, "a", band), weights: map[string]float64{}}
	for _, g := range groups {
		path, weight, _ := strings.Cut(g, "=")
		var w float64
		if _, err := fmt.Sscan(weight, &w); err != nil {
			t.Fatal(err)
		}
		ts.weights[path] = w
	}
	return ts
}

// wait is an edit that offers so many tickets of a flow, "group:flow", each of the charge.
func (ts *tenants) wait(of string, n int, charge float64, idle ...int) func(*store.Statement) {
	return func(s *store.Statement) {
		group, flow, _ := strings.Cut(of, ":")
		for range n {
			ts.tickets++
			o := ts.offer(ts.tickets, flow, 0)
			o.Group, o.Charge = group, charge
			if len(idle) > 0 {
				o.Idle, o.IdleGroups = true, idle[0]
			}
			s.Offers = append(s.Offers, o)
		}
	}
}

// state takes a turn that states all groups, and what else is said of it.
func (ts *tenants) state(edits ...func(*store.Statement)) *store.Reply {
	ts.tb.Helper()
	return ts.turn(func(s *store.Statement) {
		for path, weight := range ts.weights {
			s.Groups = append(s.Groups, store.Group{Priority: ts.bands[0].Priority, Path: path, Weight: weight})
		}
		for _, edit := range edits {
			edit(s)
		}
	})
}

// serve ends requests one by one, and counts whose went.
func (ts *tenants) serve(n int) map[string]int {
	ts.tb.Helper()
	served := map[string]int{}
	ts.grants()
	for range n {
		ts.finish(1)
		ts.turn(nil)
		for _, grant := range strings.Fields(ts.grants()) {
			flow, _, _ := strings.Cut(grant, "/")
			served[flow]++
		}
	}
	return served
}

func groupsShareByWeight(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 1), "big=3", "small=1")
	ts.state(ts.wait("big:a", 40, 1), ts.wait("small:b", 40, 1))
	if got := ts.serve(40); got["a"] != 30 || got["b"] != 10 {
		t.Errorf("of weights 3 and 1, 40 requests went as %v", got)
	}
}

func groupsNest(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 1), "acme=3", "acme/research=1", "acme/product=2", "other=1")
	ts.state(ts.wait("acme/research:r", 60, 1), ts.wait("acme/product:p", 60, 1), ts.wait("other:o", 60, 1))
	got := ts.serve(48)
	for flow, want := range map[string]int{"r": 12, "p": 24, "o": 12} {
		if n := got[flow]; n < want-1 || n > want+1 {
			t.Errorf("of 3 (1 and 2) and 1, 48 requests went as %v, want %d of %s", got, want, flow)
		}
	}
}

func manyFlowsGainNothing(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 1), "one=1", "many=1")
	edits := []func(*store.Statement){ts.wait("one:alone", 40, 1)}
	for i := range 20 {
		edits = append(edits, ts.wait(fmt.Sprint("many:m", i), 3, 1))
	}
	ts.state(edits...)
	got := ts.serve(40)
	if got["alone"] != 20 {
		t.Errorf("one flow of a group got %d of 40 beside 20 flows of another", got["alone"])
	}
	for i := range 20 {
		if n := got[fmt.Sprint("m", i)]; n != 1 {
			t.Errorf("flow %d of the 20 got %d, want 1", i, n)
		}
	}
}

func idleGroupIsLifted(t *testing.T, l store.Ledger, _ *Clock) {
	for _, c := range []struct{ idle, want int }{{1, 11}, {0, 20}} {
		ts := newTenants(t, l, counting(0, 1), "here=1", "away=1")
		ts.id = fmt.Sprint("replica-", c.idle)
		ts.bands[0].Priority = c.idle
		ts.state(ts.wait("here:h", 60, 1), ts.wait("away:a", 1, 1))
		ts.serve(20)
		ts.state(ts.wait("away:a", 30, 1, c.idle))
		if got := ts.serve(20); got["a"] != c.want {
			t.Errorf("a group that was away while 20 requests went, said to be idle: %v, got %d of the next 20, want %d", c.idle > 0, got["a"], c.want)
		}
		ts.turn(func(s *store.Statement) { s.Leave = true })
	}
}

func rankedFlowsShareByRequests(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, store.Band{Policy: "strict", Limit: 1}, "x=1", "y=1")
	ts.state(ts.wait("x:first", 20, 0), ts.wait("y:later", 20, 0))
	if got := ts.serve(20); got["first"] != 10 || got["later"] != 10 {
		t.Errorf("two groups under a policy that counts nothing: %v", got)
	}
}

func groupsAreSettled(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 1), "x=2", "y=1")
	ts.bands[0].Limit = 0
	ts.state(ts.wait("x:a", 40, 1), ts.wait("y:b", 40, 1))
	ts.bands[0].Limit = 1
	ts.turn(nil)
	reply := ts.state(func(s *store.Statement) {
		s.Settlements = []store.Settlement{{Flow: "a", Policy: "fair", Group: "x", Delta: 6, Service: 6, Weight: 1, Counter: 1}}
	})
	for _, g := range reply.Groups {
		if want := map[string]float64{"x": 3.5, "y": 0}[g.Path]; !g.Known || g.Counter != want {
			t.Errorf("group %q stands at %g, known: %v, want %g", g.Path, g.Counter, g.Known, want)
		}
	}
	if got := ts.serve(6); got["a"] > 2 { // y goes until it stands at 3.5
		t.Errorf("after x turned out to cost 7, the next six went as %v", got)
	}
}

func unreadGrantsOfGroupsGoBack(t *testing.T, l store.Ledger, clock *Clock) {
	ts := newTenants(t, l, counting(0, 0), "x=1", "y=1")
	other := newParty(t, l, "b", counting(0, 0))
	ts.members, other.members = 2, 2
	other.turn(nil)
	ts.state(ts.wait("y:own", 4, 1), func(s *store.Statement) {
		for n := range 3 {
			o := ts.offer(n, "theirs", 0)
			o.Ticket, o.Group = other.ticket(n+1), "x"
			s.Offers = append(s.Offers, o)
		}
	})
	ts.bands[0].Limit, other.bands[0].Limit = 2, 2
	ts.state()
	other.turn(nil)
	ts.state()
	clock.Advance(Lease - time.Millisecond)
	ts.state()
	clock.Advance(2 * time.Millisecond) // the other's lease ends, before it has said that it read the grant
	for _, g := range ts.state().Groups {
		if g.Path == "x" && (!g.Known || g.Counter != 0) {
			t.Errorf("a group whose grant was never read stands at %g", g.Counter)
		}
	}
}

func registeringRestoresGroups(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 1), "x=1", "y=1")
	ts.turn(func(s *store.Statement) {
		s.Groups = []store.Group{
			{Path: "x", Weight: 1, Known: true, Counter: 10, VirtualTime: 4, Level: 5}, {Path: "y", Weight: 1, Known: true, Counter: 4},
		}
		ts.wait("x:a", 20, 1)(s)
		ts.wait("y:b", 20, 1)(s)
	})
	if got := ts.serve(7); got["a"] != 1 || got["b"] != 6 {
		t.Errorf("a group that stood 6 behind got %d of the next 7", got["b"])
	}
	for _, g := range ts.state().Groups {
		if g.Path == "x" && (g.VirtualTime != 4 || g.Level != 5) {
			t.Errorf("in x, V is %g and the level %g, want 4 and 5", g.VirtualTime, g.Level)
		}
	}
}

func floatIsChargedToGroups(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 1), "x=2")
	reply := ts.state(func(s *store.Statement) {
		s.Settlements = []store.Settlement{{Flow: "a", Policy: "fair", Group: "x", Delta: 3, Service: 3, Weight: 1, Last: 1}}
	})
	if g := reply.Groups[0]; !g.Known || g.Counter != 1.5 || reply.Bands[0].VirtualTime != 1 {
		t.Errorf("3 requests of a group of weight 2: %+v, V is %g", g, reply.Bands[0].VirtualTime)
	}
}

// flowMovesToAnotherGroup has a flow that waits be in another group from some time on, whose
// flows have been served a lot.
func flowMovesToAnotherGroup(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 1), "old=1", "new=1")
	ts.state(ts.wait("new:a", 100, 1))
	ts.serve(60)
	ts.state(ts.wait("old:m", 1, 1, 1))
	first := ts.tickets
	ts.state(func(s *store.Statement) {
		o := ts.offer(first, "m", 0)
		o.Group, o.Idle = "new", true
		s.Offers = append(s.Offers, o)
	}, ts.wait("new:m", 29, 1))
	if got := ts.serve(20); got["m"] < 9 || got["m"] > 11 {
		t.Errorf("of two flows of a group, one of which came from another, 20 requests went as %v", got)
	}
}

// weightsAreSetAnew gives a flow that waits another weight: a second later at the most the
// level moves by what waits then, in a group as elsewhere; and what has been is forgotten as
// soon as nothing waits.
func weightsAreSetAnew(t *testing.T, l store.Ledger, clock *Clock) {
	for priority, group := range []string{"", "g", "g/h"} {
		ts := newTenants(t, l, counting(priority, 0), "g=1", "g/h=1")
		ts.id = fmt.Sprint("replica-", priority)
		level := func(r *store.Reply) float64 {
			for _, g := range r.Groups {
				if g.Path == group {
					return g.Level
				}
			}
			return r.Bands[0].Level
		}
		restate := func(weight float64) *store.Reply {
			return ts.state(func(s *store.Statement) {
				s.Full = true
				for n := 1; n <= 3; n++ {
					o := ts.offer(n, "a", 0)
					if o.Group, o.Weight = group, weight; n == 3 {
						o.Flow, o.Weight = "b", 1
					}
					s.Offers = append(s.Offers, o)
				}
			})
		}
		restate(1)
		restate(3)
		clock.Advance(time.Second)
		ts.state()
		ts.bands[0].Limit = 1
		if got := level(ts.state()); got != 0.75 {
			t.Errorf("in group %q: of weights 3 and 1 the first was granted, the level is %g, want 0.75", group, got)
		}
		ts.state(func(s *store.Statement) { s.Withdrawn = []policies.TicketID{ts.ticket(2), ts.ticket(3)} })
		before := level(ts.state())
		ts.finish(1)
		ts.tickets = 3
		after := level(ts.state(ts.wait(group+":c", 1, 1, 1), ts.wait(group+":d", 1, 1, 1))) - before
		if after != 0.5 {
			t.Errorf("in group %q: of weights 1 and 1 the first was granted, the level moved by %g, want 0.5", group, after)
		}
		ts.turn(func(s *store.Statement) { s.Leave = true })
	}
}
