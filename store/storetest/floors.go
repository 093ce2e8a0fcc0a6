package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// floors is a replica with groups that are guaranteed something, and bands of which the first
// is a flood of flows in none.
type floors struct {
	*tenants
	slots map[string]float64 // by group, what is guaranteed
	holds map[string]int64   // by flow, of those in a group, what is in flight
	of    map[string]string  // by flow, its group
	owed  map[string]float64
}

func newFloors(t *testing.T, l store.Ledger, limit int64, slots map[string]float64, groups ...string) *floors {
	f := &floors{newTenants(t, l, counting(10, limit), groups...), slots, map[string]int64{}, map[string]string{}, map[string]float64{}}
	f.bands = append(f.bands, counting(0, limit), counting(-10, limit))
	return f
}

// low is an edit that offers tickets of a flow, "group:flow", at a priority.
func (f *floors) low(priority int, of string, n int) func(*store.Statement) {
	group, flow, _ := strings.Cut(of, ":")
	f.of[flow] = group
	return func(s *store.Statement) {
		at := len(s.Offers)
		f.wait(of, n, 1)(s)
		for i := range s.Offers[at:] {
			s.Offers[at+i].Priority = priority
		}
	}
}

// state takes a turn that states all groups and what they have in flight.
func (f *floors) state(edits ...func(*store.Statement)) *store.Reply {
	f.tb.Helper()
	r := f.turn(func(s *store.Statement) {
		for i := range f.bands {
			for path, weight := range f.weights {
				s.Groups = append(s.Groups, store.Group{Priority: f.bands[i].Priority, Path: path, Weight: weight})
			}
		}
		for path, slots := range f.slots {
			st := store.Limited{Group: path, Guaranteed: slots, Owed: f.owed[path]}
			for flow, n := range f.holds {
				if group := f.of[flow]; group == path || strings.HasPrefix(group, path+"/") {
					st.InFlight += n
				}
			}
			s.Limited = append(s.Limited, st)
		}
		for _, edit := range edits {
			edit(s)
		}
	})
	for _, m := range r.Messages {
		if m.Kind&store.Granted != 0 {
			f.holds[m.Flow]++
		}
	}
	return r
}

// end ends a request of a flow at a priority.
func (f *floors) end(priority int, flow string) {
	f.holds[flow]--
	for i := range f.bands {
		if f.bands[i].Priority == priority {
			f.bands[i].InFlight--
		}
	}
}

// account is what the reply says of a group's guarantee.
func (f *floors) account(r *store.Reply, path string) store.Room {
	f.tb.Helper()
	for _, room := range r.Rooms {
		if room.Group == path {
			return room
		}
	}
	f.tb.Fatalf("nothing is told of %q: %+v", path, r.Rooms)
	return store.Room{}
}

// floorBeforePriority: a group has its guarantee under a flood of a higher priority, over the
// priorities of its own together, the highest of these first; and no more.
func floorBeforePriority(t *testing.T, l store.Ledger, _ *Clock) {
	f := newFloors(t, l, 4, map[string]float64{"x": 2}, "x=1", "y=1")
	f.state(f.low(10, ":flood", 30))
	f.state(f.low(0, "x:above", 1), f.low(-10, "x:below", 5), f.low(-10, "y:other", 5))
	for i, next := range []string{"flood 3 above 1 below 0", "flood 2 above 1 below 1", "flood 2 above 1 below 1"} {
		f.end(10, "flood")
		f.state()
		want(t, fmt.Sprintf("end %d", i+1), fmt.Sprintf("flood %d above %d below %d", f.holds["flood"], f.holds["above"], f.holds["below"]), next)
	}
	f.end(0, "above")
	f.state()
	want(t, "the end of one of its own", fmt.Sprintf("flood %d below %d other %d", f.holds["flood"], f.holds["below"], f.holds["other"]), "flood 2 below 2 other 0")
}

// floorIsNoCeiling: alone, a group has the whole pool.
func floorIsNoCeiling(t *testing.T, l store.Ledger, clock *Clock) {
	f := newFloors(t, l, 4, map[string]float64{"x": 1}, "x=1")
	f.state(f.low(0, "x:a", 9))
	want(t, "alone", fmt.Sprint(f.holds["a"]), "4")
	for range 60 {
		clock.Advance(time.Second)
		f.state()
	}
	if owed := f.account(f.state(), "x").Owed; owed != 0 {
		t.Errorf("what nobody else wanted is held against it: it is owed %g", owed)
	}
}

// floorOfInnerGroup: what is in a group counts for it, and an inner group has its own before
// the others in the outer one.
func floorOfInnerGroup(t *testing.T, l store.Ledger, _ *Clock) {
	f := newFloors(t, l, 6, map[string]float64{"x": 3, "x/b": 1}, "x=1", "x/a=9", "x/b=1")
	f.state(f.low(10, ":flood", 30))
	f.state(f.low(0, "x/a:a", 9), f.low(0, "x/b:b", 9))
	for range 6 {
		f.end(10, "flood")
		f.state()
	}
	want(t, "after six ends", fmt.Sprintf("a %d b %d flood %d", f.holds["a"], f.holds["b"], f.holds["flood"]), "a 2 b 1 flood 3")
}

// floorBelowTheWeight: a guarantee that is less than a group's share by weight changes nothing.
func floorBelowTheWeight(t *testing.T, l store.Ledger, clock *Clock) {
	f := newFloors(t, l, 1, map[string]float64{"x": 0.2}, "x=3", "y=1")
	f.state(f.low(0, "x:a", 60), f.low(0, "y:b", 60))
	got := map[string]int64{}
	for range 40 {
		for _, flow := range []string{"a", "b"} {
			if f.holds[flow] > 0 {
				got[flow]++
				clock.Advance(100 * time.Millisecond)
				f.end(0, flow)
				f.state()
				break
			}
		}
	}
	if got["a"] < 29 || got["a"] > 31 {
		t.Errorf("of weights 3 and 1, 40 requests went as %v", got)
	}
}

// floorIsNotHeldAgainst: a group whose guarantee is far above its share by weight has that for
// long, and then none: from then on it has its share, and does not wait until the others have
// caught up.
func floorIsNotHeldAgainst(t *testing.T, l store.Ledger, _ *Clock) {
	f := newFloors(t, l, 4, map[string]float64{"x": 3}, "x=1", "y=1")
	f.state(f.low(0, "x:a", 400), f.low(0, "y:b", 400))
	turns := func(n int) map[string]int64 {
		went := map[string]int64{}
		for i := range n {
			flow := []string{"a", "b"}[i%2] // as long as both have some, they end in turn
			if f.holds[flow] == 0 {
				flow = map[string]string{"a": "b", "b": "a"}[flow]
			}
			before := map[string]int64{"a": f.holds["a"], "b": f.holds["b"]}
			before[flow]--
			f.end(0, flow)
			f.state()
			for _, flow := range []string{"a", "b"} {
				went[flow] += f.holds[flow] - before[flow]
			}
		}
		return went
	}
	turns(200)
	want(t, "with the guarantee", fmt.Sprintf("a %d b %d", f.holds["a"], f.holds["b"]), "a 3 b 1")
	f.slots["x"] = 0
	if got := turns(40); got["a"] < 16 {
		t.Errorf("once nothing is guaranteed, the next 40 went as %v; want about the half of each", got)
	}
}

// floorSurvives: what a group is owed is known from the replicas in a new generation, and
// after the ledger forgot.
func floorSurvives(t *testing.T, l store.Ledger, clock *Clock) {
	f := newFloors(t, l, 4, map[string]float64{"x": 1.5}, "x=1")
	f.state(f.low(10, ":flood", 9))
	f.state(f.low(0, "x:a", 9))
	f.lasts(clock, 2*time.Second)
	before := f.state()
	if got := f.account(before, "x"); got.Owed != 3 || got.Guaranteed != 1.5 {
		t.Fatalf("after 2 s without its 1.5 slots the group has %+v, want 3 slot-seconds owed", got)
	}
	if m, ok := l.(interface{ Wipe() }); ok {
		m.Wipe()
	}
	f.register, f.owed["x"] = true, 3
	after := f.state(func(s *store.Statement) { s.Alone = true })
	if after.Generation == before.Generation {
		t.Error("no generation began")
	}
	if got := f.account(after, "x").Owed; got != 3 {
		t.Errorf("in a new generation it is owed %g slot-seconds, want 3", got)
	}
}

// floorWithoutOpinion: a replica that does not know what the pool takes leaves it as it was.
func floorWithoutOpinion(t *testing.T, l store.Ledger, _ *Clock) {
	f := newFloors(t, l, 4, map[string]float64{"x": 1.5}, "x=1")
	f.state()
	f.slots["x"] = store.NoOpinion
	if got := f.account(f.state(), "x").Guaranteed; got != 1.5 {
		t.Errorf("%g slots are guaranteed, want 1.5", got)
	}
	f.slots["x"] = 0
	if got := f.account(f.state(), "x"); got.Guaranteed != 0 || got.Got != 0 {
		t.Errorf("without a guarantee: %+v", got)
	}
}

// floorsAndRevocation: what a group is guaranteed is not revoked for a higher priority, and a
// group that is due something has it from any sheddable request that is not guaranteed.
func floorsAndRevocation(t *testing.T, l store.Ledger, _ *Clock) {
	f := newFloors(t, l, 4, map[string]float64{"x": 2, "y": 1}, "x=1", "y=1")
	f.state(f.low(-10, "x:a", 4))
	sheddable := func(s *store.Statement) {
		s.Evicts = true
		for n := range 4 {
			s.Sheddable = append(s.Sheddable, store.Sheddable{Seq: uint64(n + 1), Priority: -10, Group: "x"})
		}
	}
	r := f.state(f.low(10, ":flood", 4), sheddable)
	want(t, "revoked for four that wait", strings.Trim(fmt.Sprint(r.Revoke), "[]"), "1 2")
	f.state(func(s *store.Statement) {
		for n := range 4 {
			s.Withdrawn = append(s.Withdrawn, f.ticket(f.tickets-n))
		}
	})
	r = f.state(f.low(-10, "y:b", 3), sheddable)
	want(t, "revoked for the other's guarantee", strings.Trim(fmt.Sprint(r.Revoke), "[]"), "1")
}

// floorOfTheLost: what a lost replica held in a group is not known to be there: the group has
// its guarantee beside it.
func floorOfTheLost(t *testing.T, l store.Ledger, clock *Clock) {
	f := newFloors(t, l, 4, map[string]float64{"x": 1}, "x=1")
	other := newParty(t, l, "b", counting(0, 4))
	f.members, other.members = 2, 2
	other.turn(nil)
	f.state()
	other.bands[0].InFlight = 1
	other.turn(bounds(store.Limited{Group: "x", Guaranteed: 1, InFlight: 1}))
	f.state(f.low(10, ":flood", 9), f.low(0, "x:a", 9))
	want(t, "while the other holds its slot", fmt.Sprintf("flood %d a %d", f.holds["flood"], f.holds["a"]), "flood 3 a 0")
	clock.Advance(Lease - time.Millisecond)
	f.state()
	clock.Advance(2 * time.Millisecond)
	f.end(10, "flood")
	f.state()
	want(t, "once that is lost", fmt.Sprintf("flood %d a %d", f.holds["flood"], f.holds["a"]), "flood 2 a 1")
}
