package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// guaranteed is a band with a guarantee.
func guaranteed(priority int, limit int64, slots float64) store.Band {
	b := counting(priority, limit)
	b.Guaranteed = slots
	return b
}

// rivals is a replica with two bands, of which the lower is guaranteed something.
type rivals struct {
	*party
	tickets int
}

func newRivals(t *testing.T, l store.Ledger, high, low store.Band) *rivals {
	return &rivals{party: newParty(t, l, "a", high, low)}
}

// fill is an edit that offers tickets of a band.
func (r *rivals) fill(priority, n int) func(*store.Statement) {
	return func(s *store.Statement) {
		for range n {
			r.tickets++
			o := r.offer(r.tickets, fmt.Sprint("p", priority), 0)
			o.Priority = priority
			s.Offers = append(s.Offers, o)
		}
	}
}

// has is what the two bands have in flight, the higher first.
func (r *rivals) has() string { return fmt.Sprint(r.bands[0].InFlight, " ", r.bands[1].InFlight) }

func guaranteeBeforePriority(t *testing.T, l store.Ledger, _ *Clock) {
	r := newRivals(t, l, counting(10, 4), guaranteed(0, 4, 2))
	r.turn(r.fill(10, 9))
	want(t, "alone", r.has(), "4 0")
	r.turn(r.fill(0, 9))
	want(t, "none ended", r.has(), "4 0")
	for i, next := range []string{"3 1", "2 2", "2 2"} {
		r.bands[0].InFlight--
		r.turn(nil)
		want(t, fmt.Sprintf("end %d", i+1), r.has(), next)
	}
	r.bands[1].InFlight--
	r.turn(nil)
	want(t, "the end of one of its own", r.has(), "2 2")
}

func guaranteeIsNoCeiling(t *testing.T, l store.Ledger, clock *Clock) {
	r := newRivals(t, l, counting(10, 4), guaranteed(0, 4, 1))
	r.turn(r.fill(0, 5))
	want(t, "alone", r.has(), "0 4")
	clock.Advance(time.Minute)
	r.turn(func(s *store.Statement) {
		s.Register = true
		r.fill(0, 5)(s)
		r.fill(10, 9)(s)
	})
	for i, next := range []string{"1 3", "2 2", "3 1", "3 1"} {
		r.bands[1].InFlight--
		r.turn(nil)
		want(t, fmt.Sprintf("end %d beside a higher band", i+1), r.has(), next)
	}
}

// guaranteeBelowASlot has requests of a second and two bands that always wait.
func guaranteeBelowASlot(t *testing.T, l store.Ledger, clock *Clock) {
	r := newRivals(t, l, counting(10, 8), guaranteed(0, 8, 0.16))
	var got int64
	for second := range 110 {
		if second >= 10 {
			got += r.bands[1].InFlight
		}
		r.lasts(clock, time.Second)
		r.bands[0].InFlight, r.bands[1].InFlight = 0, 0
		r.turn(func(s *store.Statement) {
			r.fill(10, 8)(s)
			r.fill(0, 1)(s)
		})
	}
	if got < 15 || got > 17 {
		t.Errorf("0.16 slots are guaranteed, and %d slot-seconds were had in 100 s", got)
	}
	if b := r.turn(nil).Bands[1]; b.Guaranteed != 0.16 || b.Got < 16 || b.Got > 19 || b.Below != 0 {
		t.Errorf("the account: %+v", b)
	}
}

func guaranteeAboveCeiling(t *testing.T, l store.Ledger, _ *Clock) {
	r := newRivals(t, l, counting(10, 4), guaranteed(0, 1, 1))
	r.turn(r.fill(10, 9))
	r.turn(r.fill(0, 9))
	r.bands[0].InFlight--
	r.turn(nil)
	want(t, "above its ceiling of 1", r.has(), "3 1")
	r.bands[0].InFlight--
	r.turn(nil)
	want(t, "beyond the guarantee", r.has(), "3 1")
}

func leastGuaranteeHolds(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", guaranteed(0, 4, 2)), newParty(t, l, "b", guaranteed(0, 4, 1))
	newParty(t, l, "c", guaranteed(0, store.NoOpinion, 0)).turn(nil)
	a.turn(nil)
	b.turn(nil)
	at := func(expected float64) {
		t.Helper()
		if got := a.turn(nil).Bands[0].Guaranteed; got != expected {
			t.Errorf("%g slots are guaranteed, want %g", got, expected)
		}
	}
	at(1)
	b.bands[0].Guaranteed = 3
	b.turn(nil)
	at(2)
	a.bands[0].Guaranteed = 4
	at(3)
	b.turn(func(s *store.Statement) { s.Leave = true })
	at(4)
}

func guaranteeSurvives(t *testing.T, l store.Ledger, clock *Clock) {
	r := newRivals(t, l, counting(10, 4), guaranteed(0, 4, 1.5))
	r.turn(r.fill(10, 9))
	r.turn(r.fill(0, 9))
	r.lasts(clock, 2*time.Second)
	before := r.turn(nil)
	if owed := before.Bands[1].Owed; owed != 3 {
		t.Fatalf("after 2 s without its 1.5 slots the band is owed %g slot-seconds, want 3", owed)
	}
	if m, ok := l.(interface{ Wipe() }); ok {
		m.Wipe()
	}
	r.register, r.bands[1].Owed = true, before.Bands[1].Owed
	after := r.turn(func(s *store.Statement) { s.Alone = true })
	if after.Generation == before.Generation {
		t.Error("no generation began")
	}
	if owed := after.Bands[1].Owed; owed != 3 {
		t.Errorf("in a new generation it is owed %g slot-seconds, want 3", owed)
	}
}

// guaranteedNotRevoked has a higher band wait at a pool that is full of sheddable requests,
// two of which their band is guaranteed.
func guaranteedNotRevoked(t *testing.T, l store.Ledger, _ *Clock) {
	r := newRivals(t, l, counting(0, 4), guaranteed(-1, 4, 2))
	r.turn(r.fill(-1, 4))
	want(t, "before", r.has(), "0 4")
	waiting := r.turn(func(s *store.Statement) {
		r.fill(0, 4)(s)
		s.Evicts = true
		for n := range 4 {
			s.Sheddable = append(s.Sheddable, store.Sheddable{Seq: uint64(n + 1), Priority: -1})
		}
	})
	want(t, "revoked for four that wait", strings.Trim(fmt.Sprint(waiting.Revoke), "[]"), "1 2")
}

// guaranteeRevokes has a guaranteed band wait at a pool that is full of sheddable requests
// of a higher one.
func guaranteeRevokes(t *testing.T, l store.Ledger, _ *Clock) {
	r := newRivals(t, l, counting(-1, 4), guaranteed(-2, 4, 1))
	r.turn(r.fill(-1, 9))
	waiting := r.turn(func(s *store.Statement) {
		r.fill(-2, 4)(s)
		s.Evicts, s.Sheddable = true, []store.Sheddable{{Seq: 1, Priority: -1}, {Seq: 2, Priority: -1}}
	})
	want(t, "revoked for the guarantee", strings.Trim(fmt.Sprint(waiting.Revoke), "[]"), "1")
}

// followedByFloatBecomesNoDebt: a request went for the guarantee, and when it ended others of the band followed it by
// themselves, one after the other, for ten minutes in which nobody else wanted the slot. When a higher band fills
// the pool, that is not held against it.
func followedByFloatBecomesNoDebt(t *testing.T, l store.Ledger, clock *Clock) {
	r := newRivals(t, l, counting(10, 8), guaranteed(0, 8, 0.5))
	r.turn(func(s *store.Statement) {
		r.fill(10, 7)(s)
		r.fill(0, 1)(s)
	})
	want(t, "one for the guarantee", r.has(), "7 1")
	for range 600 {
		r.bands[0].InFlight, r.bands[1].InFlight = 0, 1
		r.turn(func(s *store.Statement) { s.WantFloat = 1 })
		clock.Advance(time.Second)
	}
	r.bands[0].InFlight, r.bands[1].InFlight = 0, 0
	r.turn(func(s *store.Statement) {
		r.fill(10, 9)(s)
		r.fill(0, 1)(s)
	})
	want(t, "the pool is full again", r.has(), "7 1")
}

// floatBecomesNoDebt: what a band let go by itself for ten minutes, while nobody else wanted
// it, is not held against its guarantee when a higher band fills the pool: not even while it lasts.
func floatBecomesNoDebt(t *testing.T, l store.Ledger, clock *Clock) {
	r := newRivals(t, l, counting(10, 8), guaranteed(0, 8, 0.5))
	for range 600 {
		r.bands[1].InFlight = 6
		r.turn(func(s *store.Statement) { s.WantFloat = 1 })
		clock.Advance(time.Second)
	}
	for range 60 {
		r.turn(r.fill(10, 1))
		clock.Advance(time.Second)
	}
	var got int64
	for range 120 {
		r.bands[0].InFlight, r.bands[1].InFlight = 0, 0
		r.turn(func(s *store.Statement) {
			r.fill(10, 9)(s)
			r.fill(0, 2)(s)
		})
		got += r.bands[1].InFlight
		clock.Advance(time.Second)
	}
	if got < 50 {
		t.Errorf("half a slot is guaranteed, and %d slot-seconds were had in 120 s", got)
	}
}
