package storetest

import (
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// wanting is an edit that keeps and wants permits at x, and float.
func wanting(inFlight, capacity, permits, wanted int64) func(*store.Statement) {
	return func(s *store.Statement) {
		s.Loads = []store.Load{{Endpoint: "x", InFlight: inFlight, Capacity: capacity, Permits: permits, Wanted: wanted}}
		s.WantFloat, s.WantLoads = wanted, true
	}
}

func wantPermits(t *testing.T, what string, r *store.Reply, permits, ofAll int64) {
	t.Helper()
	if len(r.Permits) != 1 || r.Permits[0].Permits != permits || len(r.Loads) != 1 || r.Loads[0].Permits != ofAll {
		t.Errorf("%s: permits %v, loads %v; want %d, and %d in all", what, r.Permits, r.Loads, permits, ofAll)
	}
}

// permitsCountThere: permits at an endpoint are given of what is free there, and count there
// until they are returned; whoever waits for them has them recalled.
func permitsCountThere(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newParty(t, l, "a", counting(0, 16)), newParty(t, l, "b", counting(0, 16))
	a.turn(nil)
	b.turn(nil)
	wantPermits(t, "a", a.turn(ofCapacity(8, wanting(0, 8, 0, 9))), 2, 2)
	wantPermits(t, "b", b.turn(ofCapacity(8, wanting(0, 8, 0, 1))), 1, 3)
	wantPermits(t, "a keeps one", a.turn(ofCapacity(8, wanting(1, 8, 1, 1))), 1, 2)
	a.bands[0].InFlight = 1
	r := b.turn(ofCapacity(8, wanting(0, 8, 0, 0), offers(b.many("g", 1, 7)...)))
	want(t, "b is granted what is neither in flight nor given", b.grants(), "g/1 g/2 g/3 g/4 g/5 g/6")
	if r.FloatShare != 0 {
		t.Errorf("b may keep %d permits while an offer waits for what a keeps", r.FloatShare)
	}
	wantPermits(t, "a returns it", a.turn(ofCapacity(8, wanting(1, 8, 0, 1))), 0, 0)
	b.turn(ofCapacity(8))
	want(t, "b gets it", b.grants(), "g/7")
	clock.Advance(time.Millisecond)
}

// permitsOfTheLost: what a replica without a lease had as permits may be in flight.
func permitsOfTheLost(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newParty(t, l, "a", counting(0, 16)), newParty(t, l, "b", counting(0, 16))
	a.turn(nil)
	b.turn(nil)
	a.bands[0].InFlight = 1
	wantPermits(t, "a", a.turn(ofCapacity(8, wanting(1, 8, 0, 9))), 1, 1)
	clock.Advance(Lease - time.Millisecond)
	b.turn(ofCapacity(8, wanting(0, 8, 0, 0)))
	clock.Advance(2 * time.Millisecond)
	r := b.turn(ofCapacity(8, wanting(0, 8, 0, 0)))
	if len(r.Loads) != 1 || r.Loads[0].InFlight != 2 || r.Loads[0].Permits != 0 {
		t.Errorf("after a's lease: %+v; want two in flight", r.Loads)
	}
	b.turn(func(s *store.Statement) { s.Ended, s.Capacity = []store.Run{{Replica: "a", Incarnation: 1}}, 8 })
	r = b.turn(ofCapacity(8, wanting(0, 8, 0, 0)))
	if len(r.Loads) != 1 || r.Loads[0].InFlight != 0 {
		t.Errorf("after a's process: %+v; want none in flight", r.Loads)
	}
}
