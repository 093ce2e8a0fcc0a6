package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// bounds is an edit that states what groups have in flight of their maxima.
func bounds(all ...store.Limited) func(*store.Statement) {
	return func(s *store.Statement) { s.Limited = append(s.Limited, all...) }
}

// room is what the reply says that a group may still take.
func room(t *testing.T, r *store.Reply, group string) int64 {
	t.Helper()
	i := slices.IndexFunc(r.Rooms, func(room store.Room) bool { return room.Group == group })
	if i < 0 {
		t.Fatalf("no room is told of %q: %+v", group, r.Rooms)
	}
	return r.Rooms[i].InFlight
}

// groupMaximum: a group has no more in flight than its maximum, over the priorities together;
// what is beside it goes on, and its own goes in the turn in which there is room.
func groupMaximum(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 6), "x=1", "y=1")
	ts.bands = append(ts.bands, counting(-1, 6))
	low := ts.offer(99, "l", 0)
	low.Priority, low.Group = -1, "x"
	r := ts.state(ts.wait("x:a", 6, 1), ts.wait("y:b", 3, 1), bounds(store.Limited{Group: "x", MaxInFlight: 2}), func(s *store.Statement) { s.Offers = append(s.Offers, low) })
	want(t, "granted", ts.grants(), "a/1 b/7 a/2 b/8 b/9")
	if n := room(t, r, "x"); n != 0 {
		t.Errorf("x may take %d more", n)
	}
	want(t, "at the maximum, with a slot free,", ts.state(bounds(store.Limited{Group: "x", MaxInFlight: 2, InFlight: 2})).Status.String()+ts.grants(), "ok")
	ts.finish(1)
	ts.state(bounds(store.Limited{Group: "x", MaxInFlight: 2, InFlight: 1}))
	want(t, "once one ended", ts.grants(), "a/3")
	ts.state(bounds(store.Limited{Group: "x", InFlight: 2}))
	want(t, "without a maximum", ts.grants(), "a/4")
}

// maximumOfOuterGroup: what is in groups in it counts as well.
func maximumOfOuterGroup(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 9), "x=1", "x/y=1", "x/z=1", "w=1")
	ts.state(ts.wait("x/y:a", 4, 1), ts.wait("x/z:b", 4, 1), ts.wait("w:c", 2, 1),
		bounds(store.Limited{Group: "x", MaxInFlight: 3}, store.Limited{Group: "x/y", MaxInFlight: 1}))
	want(t, "granted", ts.grants(), "c/9 a/1 c/10 b/5 b/6")
}

// maximumIsOfThePool: a part of the capacity that a replica knows is the same part of all.
func maximumIsOfThePool(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 20), "x=1")
	ts.state(ts.wait("x:a", 9, 1), bounds(store.Limited{Group: "x", MaxSlots: 2.75}))
	want(t, "2.75 slots", ts.grants(), "a/1 a/2")
	ts.state(bounds(store.Limited{Group: "x", MaxSlots: 0.3, InFlight: 2}))
	want(t, "less than what is in flight", ts.grants(), "")
	ts.finish(2)
	ts.state(bounds(store.Limited{Group: "x", MaxSlots: 0.3}))
	want(t, "less than one", ts.grants(), "a/3")
}

// maximumEarnsNothing: what its maximum kept from a group is not owed to it.
func maximumEarnsNothing(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 4), "x=1", "y=1")
	ts.state(ts.wait("x:a", 30, 1), ts.wait("y:b", 60, 1), bounds(store.Limited{Group: "x", MaxInFlight: 1}))
	ts.grants()
	for range 20 { // only y's requests end
		ts.finish(1)
		ts.state(bounds(store.Limited{Group: "x", MaxInFlight: 1, InFlight: 1}))
	}
	ts.grants()
	ts.state(bounds(store.Limited{Group: "x", InFlight: 1}))
	if got := ts.serve(10); got["a"] < 4 || got["a"] > 6 {
		t.Errorf("once it had no maximum, the next ten went as %v", got)
	}
}

// maximumIsDueNothing: what waits in a group at its maximum waits for no slot: nothing is due
// to its priority, nothing is revoked for it, and no float is recalled.
func maximumIsDueNothing(t *testing.T, l store.Ledger, clock *Clock) {
	ts := newTenants(t, l, counting(5, 3), "x=1", "y=1")
	ts.bands[0].Guaranteed = 2
	ts.bands = append(ts.bands, counting(-1, 3))
	of := func(n int, flow string, priority int, group string) store.Offer {
		o := ts.offer(n, flow, 0)
		o.Priority, o.Group = priority, group
		return o
	}
	one := bounds(store.Limited{Group: "x", MaxInFlight: 1, InFlight: 1})
	ts.state(ts.wait("x:a", 3, 1), bounds(store.Limited{Group: "x", MaxInFlight: 1}), func(s *store.Statement) {
		s.Offers = append(s.Offers, of(50, "l", -1, "y"), of(51, "l", -1, "y"), of(52, "l", -1, "y"))
	})
	want(t, "granted", ts.grants(), "a/1 l/50 l/51")
	clock.Advance(time.Second)
	r := ts.state(one, func(s *store.Statement) {
		s.Evicts, s.Sheddable = true, []store.Sheddable{{Seq: 50, Priority: -1}, {Seq: 51, Priority: -1}}
	})
	if len(r.Revoke) > 0 {
		t.Errorf("%v are revoked for a group at its maximum", r.Revoke)
	}
	if owed := r.Bands[0].Owed; owed != 0 {
		t.Errorf("%g is owed to a priority of which nothing may go", owed)
	}
	ts.bands[1].InFlight = 0
	ts.turn(func(s *store.Statement) { s.Withdrawn = append(s.Withdrawn, ts.ticket(52)); one(s) })
	ts.bands[0].Limit, ts.bands[1].Limit = 30, 30
	if r := ts.turn(func(s *store.Statement) { s.WantFloat = 1; one(s) }); r.FloatShare == 0 {
		t.Error("no float is given while only a group at its maximum waits")
	}
}

// maximumCountsTheLost: what a lost replica has in flight counts for its group, and goes with
// the rest of it.
func maximumCountsTheLost(t *testing.T, l store.Ledger, clock *Clock) {
	ts := newTenants(t, l, counting(0, 9), "x=1")
	other := newParty(t, l, "b", counting(0, 9))
	ts.members, other.members = 2, 2
	other.turn(nil)
	ts.state(bounds(store.Limited{Group: "x", MaxInFlight: 2}))
	other.bands[0].InFlight = 1
	other.turn(bounds(store.Limited{Group: "x", MaxInFlight: 2, InFlight: 1}))
	clock.Advance(Lease - time.Millisecond)
	ts.state()
	clock.Advance(2 * time.Millisecond)
	ts.state(ts.wait("x:a", 3, 1), bounds(store.Limited{Group: "x", MaxInFlight: 2}))
	want(t, "beside what a lost replica has", ts.grants(), "a/1")
	ts.state(bounds(store.Limited{Group: "x", MaxInFlight: 2, InFlight: 1}), func(s *store.Statement) { s.Ended = []store.Run{{Replica: "b", Incarnation: 1}} })
	want(t, "once its process ended", ts.grants(), "a/2")
}
