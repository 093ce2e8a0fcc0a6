package storetest

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// weighed is a band that shares with others by its weight.
func weighed(priority int, limit int64, weight float64) store.Band {
	b := counting(priority, limit)
	b.Weight = weight
	return b
}

// replace ends a request of the band at that place, and returns what is in flight then.
func (r *rivals) replace(at int) string {
	r.bands[at].InFlight--
	r.turn(nil)
	return r.has()
}

func bandsShareByWeight(t *testing.T, l store.Ledger, _ *Clock) {
	r := newRivals(t, l, weighed(10, 8, 3), weighed(0, 8, 1))
	r.turn(r.fill(10, 20))
	want(t, "alone", r.has(), "8 0")
	r.turn(r.fill(0, 20))
	want(t, "none ended", r.has(), "8 0")
	for i, next := range []string{"7 1", "6 2", "6 2"} {
		want(t, fmt.Sprintf("end %d", i+1), r.replace(0), next)
	}
	want(t, "the end of one of the lower", r.replace(1), "6 2")
}

// parts plays requests of a second for so long, of two bands that always wait, and returns
// the part of the slots that the second had.
func (r *rivals) parts(clock *Clock, seconds int, counts func(second int) bool) float64 {
	var all, low int64
	for second := range seconds {
		r.lasts(clock, time.Second)
		r.bands[0].InFlight, r.bands[1].InFlight = 0, 0
		r.turn(func(s *store.Statement) {
			s.Longest = time.Second
			r.fill(r.bands[0].Priority, int(r.bands[0].Limit))(s)
			r.fill(r.bands[1].Priority, int(r.bands[0].Limit))(s)
		})
		if counts(second) {
			all, low = all+r.bands[0].InFlight+r.bands[1].InFlight, low+r.bands[1].InFlight
		}
	}
	return float64(low) / float64(all)
}

// bandsShareBelowASlot: a tenth of a pool of four is less than a slot, and had on average.
func bandsShareBelowASlot(t *testing.T, l store.Ledger, clock *Clock) {
	r := newRivals(t, l, weighed(10, 4, 9), weighed(0, 4, 1))
	if got := r.parts(clock, 110, func(second int) bool { return second >= 10 }); math.Abs(got-0.1) > 0.01 {
		t.Errorf("the lower had %.3f of the slots, want 0.1", got)
	}
}

func bandSavedNothing(t *testing.T, l store.Ledger, clock *Clock) {
	r := newRivals(t, l, weighed(10, 4, 1), weighed(0, 4, 1))
	r.turn(r.fill(10, 40))
	for range 30 { // the higher has all of the pool, the lower wants nothing
		clock.Advance(time.Second)
		r.bands[0].InFlight = 0
		r.turn(nil)
		r.turn(r.fill(10, 4))
	}
	r.turn(r.fill(0, 20))
	for i, next := range []string{"3 1", "2 2", "2 2"} {
		want(t, fmt.Sprintf("end %d", i+1), r.replace(0), next)
	}
}

func guaranteeBeforeWeights(t *testing.T, l store.Ledger, _ *Clock) {
	low := weighed(0, 8, 1)
	low.Guaranteed = 4
	r := newRivals(t, l, weighed(10, 8, 7), low)
	r.turn(r.fill(10, 20))
	r.turn(r.fill(0, 20))
	for i, next := range []string{"7 1", "6 2", "5 3", "4 4", "4 4"} {
		want(t, fmt.Sprintf("end %d", i+1), r.replace(0), next)
	}
}

// bandThatSharesNothing: one without a weight goes before what is below it, and after what is
// above.
func bandThatSharesNothing(t *testing.T, l store.Ledger, _ *Clock) {
	r := &rivals{party: newParty(t, l, "a", weighed(10, 4, 1), counting(5, 4), weighed(0, 4, 1))}
	r.turn(func(s *store.Statement) {
		r.fill(10, 3)(s)
		r.fill(5, 3)(s)
		r.fill(0, 3)(s)
	})
	for i, next := range []string{"3 1 0", "2 2 0", "1 3 0", "0 3 1"} {
		if i > 0 {
			r.bands[0].InFlight--
			r.turn(nil)
		}
		want(t, fmt.Sprintf("end %d", i), fmt.Sprint(r.bands[0].InFlight, " ", r.bands[1].InFlight, " ", r.bands[2].InFlight), next)
	}
}

// leastWeightHolds: while a replica says that bands share nothing, they do not.
func leastWeightHolds(t *testing.T, l store.Ledger, _ *Clock) {
	r := newRivals(t, l, weighed(10, 4, 1), weighed(0, 4, 1))
	other := newParty(t, l, "b", counting(10, 4), counting(0, 4))
	r.members, other.members = 2, 2
	r.turn(nil)
	other.turn(nil)
	r.turn(r.fill(0, 20))
	r.turn(r.fill(10, 3))
	want(t, "the higher goes first", r.replace(1)+", "+r.replace(1)+", "+r.replace(1), "1 3, 2 2, 3 1")
	other.turn(func(s *store.Statement) { s.Leave = true })
	r.turn(r.fill(10, 20))
	want(t, "once the other is gone", r.replace(0), "2 2")
}

// weightsRespectCeilings: a band at the limit of its own holds up none that it shares with.
func weightsRespectCeilings(t *testing.T, l store.Ledger, _ *Clock) {
	r := newRivals(t, l, weighed(10, 4, 1), weighed(0, 2, 1))
	r.turn(func(s *store.Statement) {
		r.fill(10, 20)(s)
		r.fill(0, 20)(s)
	})
	want(t, "above its limit the lower has no more", r.has(), "3 1")
}

func bandsThatShareDoNotRevoke(t *testing.T, l store.Ledger, _ *Clock) {
	for name, weight := range map[string]float64{"strict": 0, "weighted": 1} {
		a := newParty(t, l, "a-"+name, weighed(10, 2, weight), weighed(-1, 2, weight))
		r := &rivals{party: a}
		r.turn(r.fill(-1, 2))
		reply := r.turn(func(s *store.Statement) {
			s.Evicts, s.Sheddable = true, []store.Sheddable{{Seq: 1, Priority: -1}, {Seq: 2, Priority: -1}}
			r.fill(10, 1)(s)
		})
		if revoked := len(reply.Revoke) > 0; revoked == (weight > 0) {
			t.Errorf("%s: revoked %v", name, reply.Revoke)
		}
		a.turn(func(s *store.Statement) { s.Leave = true })
	}
}

// noLineBesideBandsThatShare: what stands in line goes before others, so it is called back, and
// there is none while two that share want slots.
func noLineBesideBandsThatShare(t *testing.T, l store.Ledger, clock *Clock) {
	r := newRivals(t, l, weighed(10, 2, 1), weighed(0, 2, 1))
	wants := func(s *store.Statement) { s.WantLine, s.InLine = 2, int64(len(r.line)) }
	r.turn(func(s *store.Statement) {
		wants(s)
		r.fill(10, 6)(s)
	})
	want(t, "in line while one wants slots", fmt.Sprint(len(r.line)), "2")
	reply := r.turn(func(s *store.Statement) {
		wants(s)
		r.fill(0, 6)(s)
	})
	want(t, "called back when another comes", fmt.Sprint(reply.LineRecalled), "true")
	r.line = nil
	clock.Advance(2 * time.Second)
	r.turn(wants)
	want(t, "in line while both wait", fmt.Sprint(len(r.line)), "0")
}

// second lets a second pass in which all that was in flight ended, with so many more of each that
// wait.
func (r *rivals) second(clock *Clock, high, low int) {
	r.lasts(clock, time.Second)
	r.bands[0].InFlight, r.bands[1].InFlight = 0, 0
	r.turn(func(s *store.Statement) {
		s.Longest = time.Second
		r.fill(r.bands[0].Priority, high)(s)
		r.fill(r.bands[1].Priority, low)(s)
	})
}

// starved is for how many seconds of so many a band has nothing, while both wait.
func (r *rivals) starved(clock *Clock, at, seconds int) (n int) {
	for range seconds {
		if r.second(clock, 4, 4); r.bands[at].InFlight == 0 {
			n++
		}
	}
	return n
}

// guaranteeNotHeldAgainst: what a band had by its guarantee leaves it no further behind, once it
// has none, than what it has by its weight.
func guaranteeNotHeldAgainst(t *testing.T, l store.Ledger, clock *Clock) {
	low := weighed(0, 4, 1)
	low.Guaranteed = 2
	r := newRivals(t, l, weighed(10, 4, 9), low)
	r.turn(nil)
	for range 300 {
		if r.second(clock, 4, 4); r.bands[1].InFlight != 2 {
			t.Fatalf("it is guaranteed 2 of 4, and of each the bands have %s", r.has())
		}
	}
	r.bands[1].Guaranteed = 0
	for s := range 15 {
		if r.second(clock, 4, 4); r.bands[1].InFlight > 0 {
			t.Logf("had its next slot after %d s", s+1)
			return
		}
	}
	t.Error("guaranteed half for 300 s, and then nothing, of weight 1 of 10: had nothing for 15 s, want no more than 10")
}

// floorNotHeldAgainst: neither is what a group in it had by its own.
func floorNotHeldAgainst(t *testing.T, l store.Ledger, clock *Clock) {
	f := newFloors(t, l, 4, map[string]float64{"acme": 2}, "acme=1", "rest=1")
	f.bands = []store.Band{weighed(10, 4, 9), weighed(0, 4, 1)}
	second := func(of string, n int) int64 {
		clock.Advance(time.Second)
		f.bands[0].InFlight, f.bands[1].InFlight = 0, 0
		clear(f.holds)
		f.state(func(s *store.Statement) { s.Longest = time.Second }, f.low(10, "rest:high", 4), f.low(0, of, n))
		return f.bands[1].InFlight
	}
	for range 300 {
		second("acme:alice", 2)
	}
	for range 15 {
		if second("rest:bob", 4) > 0 {
			return
		}
	}
	t.Error("a group in it used its guarantee of half for 300 s: then the rest of the priority, of weight 1 of 10, had nothing for 15 s, want no more than 10")
}

// ceilingSavesNothing: a band that waits, but that its own limit keeps from going, saves nothing
// up.
func ceilingSavesNothing(t *testing.T, l store.Ledger, clock *Clock) {
	r := newRivals(t, l, weighed(10, 4, 1), weighed(0, 2, 1))
	r.turn(func(s *store.Statement) {
		r.fill(10, 8)(s)
		r.fill(0, 8)(s)
	})
	for range 300 {
		clock.Advance(time.Second)
		r.bands[0].InFlight-- // never fewer than two are taken
		r.turn(func(s *store.Statement) {
			s.Longest = 4 * time.Second
			r.fill(10, 1)(s)
		})
	}
	r.bands[1].Limit = 4
	if n := r.starved(clock, 0, 60); n > 8 {
		t.Errorf("once the other's limit was raised, a band of the same weight had nothing for %d of 60 s, want 8 at most", n)
	}
}

// endpointsSaveNothing: neither does one whose requests reach no endpoint where slots end.
func endpointsSaveNothing(t *testing.T, l store.Ledger, clock *Clock) {
	high := newRivals(t, l, weighed(10, 5, 1), weighed(0, 5, 1))
	low := &rivals{party: newParty(t, l, "b", weighed(0, 5, 1), weighed(10, 5, 1))}
	high.members, low.members = 2, 2
	at := func(r *rivals, atX, atY int64, reachX bool, wait int) {
		r.turn(func(s *store.Statement) {
			s.Longest, s.Capacity = 4*time.Second, 5
			s.Loads = takes("x", int(atX), 4, "y", int(atY), 1)
			if !reachX {
				s.Capacity, s.Loads[0] = 1, store.Load{Endpoint: "x", InFlight: store.Gone}
			}
			r.fill(r.bands[0].Priority, wait)(s)
		})
	}
	at(low, 0, 0, false, 0)
	at(high, 0, 0, true, 9)
	at(low, 0, 0, false, 9)
	for range 300 {
		clock.Advance(time.Second)
		high.bands[0].InFlight = 4 // one of those at x ended
		at(high, 3, 1, true, 1)
		at(low, 0, 0, false, 0)
	}
	want(t, "while it does not reach x", fmt.Sprint(high.bands[0].InFlight, " ", low.bands[0].InFlight), "5 0")
	starved := 0
	for range 60 {
		clock.Advance(time.Second)
		ended := high.bands[0].InFlight - 1
		high.bands[0].InFlight, low.bands[0].InFlight = 1, 0
		at(low, 0, 0, true, int(4-ended))
		at(high, 0, 1, true, int(ended))
		if at(low, low.bands[0].InFlight, 0, true, 0); high.bands[0].InFlight == 1 {
			starved++
		}
	}
	if starved > 8 {
		t.Errorf("once the other reaches it, a band of the same weight had nothing new for %d of 60 s, want 8 at most", starved)
	}
}

// weightChanges: a debt is in slot-seconds, and stays what it is when weights change.
func weightChanges(t *testing.T, l store.Ledger, clock *Clock) {
	r := newRivals(t, l, weighed(10, 4, 0.01), weighed(0, 4, 1))
	r.turn(nil)
	r.turn(func(s *store.Statement) {
		s.Longest = time.Minute
		r.fill(10, 4)(s)
	})
	r.turn(r.fill(0, 400))
	for range 20 {
		r.lasts(clock, time.Second)
		r.turn(nil)
	}
	r.bands[0].Weight = 1
	if n := r.starved(clock, 0, 90); n < 10 || n > 30 {
		t.Errorf("four slots for 20 s at a weight of 0.01, and then of 1 as the other: had nothing for %d of 90 s, want about 20", n)
	}
}

// ahead has one of two bands of the same weight be a minute of all four slots ahead of the other,
// and its replica then register, and returns for how many of 30 seconds that band has nothing.
func ahead(t *testing.T, l store.Ledger, clock *Clock, before func(r *rivals)) int {
	r := newRivals(t, l, weighed(10, 4, 1), weighed(0, 4, 1))
	wait := func(s *store.Statement) {
		s.Longest = time.Minute
		r.fill(10, 4)(s)
		r.fill(0, 400)(s)
	}
	r.turn(func(s *store.Statement) { s.Longest = time.Minute; r.fill(10, 4)(s) })
	r.turn(r.fill(0, 400))
	for range 60 {
		r.lasts(clock, time.Second)
		r.turn(nil)
	}
	before(r)
	r.register = true
	r.turn(wait)
	return r.starved(clock, 0, 30)
}

// weightsSurviveRegistering: a replica that registers with a ledger that forgot nothing changes
// nothing of what bands are ahead by, and be it the only one.
func weightsSurviveRegistering(t *testing.T, l store.Ledger, clock *Clock) {
	if n := ahead(t, l, clock, func(*rivals) {}); n < 29 {
		t.Errorf("a minute ahead of the other when its replica registered: had nothing for %d of 30 s, want all of them", n)
	}
}

// weightsEndWithTheLast: once the last replica's lease has ended nothing waits, so all are level.
func weightsEndWithTheLast(t *testing.T, l store.Ledger, clock *Clock) {
	n := ahead(t, l, clock, func(r *rivals) {
		clock.Advance(Lease + time.Millisecond)
		r.turn(nil)
	})
	if n > 2 {
		t.Errorf("a minute ahead of the other when the last lease ended: had nothing for %d of 30 s, want 2 at most", n)
	}
}
