package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// float is an edit that keeps some permits and has use for others.
func float(kept, wanted int64) func(*store.Statement) {
	return func(s *store.Statement) { s.Float, s.WantFloat = kept, wanted }
}

// newThree is three parties that have registered, of one band each.
func newThree(t *testing.T, l store.Ledger, limit int64) (a, b, c *party) {
	t.Helper()
	a, b, c = newParty(t, l, "a", counting(0, limit)), newParty(t, l, "b", counting(0, limit)), newParty(t, l, "c", counting(0, limit))
	for _, p := range []*party{a, b, c} {
		p.turn(nil)
	}
	return a, b, c
}

func wantFloat(t *testing.T, what string, r *store.Reply, permits, share, inFlight int64) {
	t.Helper()
	if r.Float != permits || r.FloatShare != share || r.InFlight != inFlight {
		t.Errorf("%s: %d permits, may keep %d, %d in flight; want %d, %d, %d", what, r.Float, r.FloatShare, r.InFlight, permits, share, inFlight)
	}
}

// floatIsShared: at most half of what is free is given, in equal parts to those who have
// use for it, and counts like requests in flight.
func floatIsShared(t *testing.T, l store.Ledger, _ *Clock) {
	a, b, c := newThree(t, l, 16)
	r := a.turn(float(0, 3))
	wantFloat(t, "a is alone in asking", r, 3, 8, 0)
	if r.FloatLimit != 16 || r.Bands[0].Limit != 16 {
		t.Errorf("given under the limit %d, the band's is %d", r.FloatLimit, r.Bands[0].Limit)
	}
	wantFloat(t, "b has use for more", b.turn(float(0, 100)), 4, 4, 0)
	wantFloat(t, "a keeps what it has, and gets no more", a.turn(float(3, 100)), 4, 4, 0)
	wantFloat(t, "c has use for none", c.turn(nil), 0, 4, 0)
	a.bands[0].InFlight = 2 // let go by float
	wantFloat(t, "a spent two", a.turn(float(2, 2)), 2, 3, 2)
	var os []store.Offer
	for n := range 12 {
		os = append(os, c.offer(n+1, "f", float64(n)))
	}
	wantFloat(t, "c has work", c.turn(offers(os...)), 0, 0, 10)
	want(t, "c is granted what is neither in flight nor given", c.grants(), "f/1 f/2 f/3 f/4 f/5 f/6 f/7 f/8")
}

// floatIsRecalled: as soon as an offer stands for want of capacity, those who have float
// are woken, again until they have said what they keep.
func floatIsRecalled(t *testing.T, l store.Ledger, clock *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, b, c := newThree(t, l, 8)
	wakeups := l.Wakeups(ctx, "a")
	woken := func() (recalled bool) {
		t.Helper()
		select {
		case w := <-wakeups:
			return w.Recall && w.Incarnation == 1 && w.Registered == 1 && len(w.Messages) == 0
		case <-time.After(10 * time.Second):
			t.Fatal("nobody is woken")
		}
		return false
	}
	wantFloat(t, "given", a.turn(float(0, 2)), 2, 4, 0)
	wantFloat(t, "b has no use for any, and may say later what ends", b.turn(nil), 0, 4, 0)
	var os []store.Offer
	for n := range 8 {
		os = append(os, c.offer(n+1, "f", float64(n)))
	}
	c.turn(offers(os...))
	want(t, "beside the float", c.grants(), "f/1 f/2 f/3 f/4 f/5 f/6")
	if !woken() {
		t.Error("a wake-up does not recall")
	}
	clock.Advance(26 * time.Millisecond)
	c.turn(nil)
	if !woken() {
		t.Error("it is not recalled again")
	}
	wantFloat(t, "a spent one meanwhile, and keeps the other", a.turn(func(s *store.Statement) {
		s.Bands[0].InFlight, s.Float, s.WantFloat = 1, 1, 1
	}), 1, 0, 7)
	a.bands[0].InFlight = 1
	wantFloat(t, "a returns it", a.turn(nil), 0, 0, 8)
	c.turn(nil)
	want(t, "c gets what a returned", c.grants(), "f/7")
	c.turn(func(s *store.Statement) { s.Withdrawn = append(s.Withdrawn, c.ticket(8)) })
	wantFloat(t, "nobody waits, and nothing is free", a.turn(float(0, 2)), 0, 0, 8)
	c.finish(7)
	c.turn(nil)
	wantFloat(t, "now there is", a.turn(float(0, 2)), 2, 3, 1)
}

// floatIsStatedAbsolutely: whatever reply was lost, the next statement says what there is.
func floatIsStatedAbsolutely(t *testing.T, l store.Ledger, _ *Clock) {
	a, b, _ := newThree(t, l, 8)
	lost := a.statement(float(0, 4))
	for range 2 { // and comes twice
		if _, err := l.Turn(context.Background(), lost); err != nil {
			t.Fatal(err)
		}
	}
	wantFloat(t, "b", b.turn(float(0, 8)), 0, 2, 0)
	wantFloat(t, "a never had it", a.turn(float(0, 1)), 1, 2, 0)
	wantFloat(t, "b", b.turn(float(0, 8)), 2, 2, 0)
	again, err := l.Turn(context.Background(), lost)
	if err != nil {
		t.Fatal(err)
	}
	wantFloat(t, "the lost one comes again, late: nothing is given by it", again, 1, 0, 0)
	a.turn(func(s *store.Statement) { s.Leave = true })
	wantFloat(t, "a left, and what it had", b.turn(float(2, 8)), 4, 4, 0)
}

// floatKeepsToTheLowestOpenLimit: permits are given below the lowest limit that is not
// reached, so that any band that has room may spend them.
func floatKeepsToTheLowestOpenLimit(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(1, 20), counting(0, 6))
	a.turn(nil)
	r := a.turn(float(0, 100))
	wantFloat(t, "the lower band has room", r, 3, 3, 0)
	if r.FloatLimit != 6 {
		t.Errorf("given under the limit %d, want 6", r.FloatLimit)
	}
	a.bands[0].InFlight = 6
	r = a.turn(float(3, 100))
	wantFloat(t, "it has none", r, 7, 7, 6)
	if r.FloatLimit != 20 {
		t.Errorf("given under the limit %d, want 20", r.FloatLimit)
	}
	a.bands[0].Limit, a.bands[1].Limit = 12, 6
	wantFloat(t, "the limit fell below what is held", a.turn(float(7, 100)), 7, 0, 6)
}

// floatIsCharged: what was let go by float is charged like granted, once; and virtual time
// follows it, but passes nobody who waits.
func floatIsCharged(t *testing.T, l store.Ledger, _ *Clock) {
	a, b, _ := newThree(t, l, 4)
	served := func(p *party, flow string, delta float64) *store.Reply {
		return p.turn(func(s *store.Statement) {
			s.Settlements = []store.Settlement{{Flow: flow, Policy: "fair", Delta: delta, Last: 1}}
		})
	}
	r := served(a, "f", 5)
	if v := r.Bands[0].VirtualTime; v != 4 {
		t.Errorf("V is %v after five requests of one flow, want 4", v)
	}
	served(b, "g", 1) // lifted to V, and charged
	a.turn(offers(a.offer(1, "f", 0)))
	b.turn(offers(b.offer(1, "g", 0), b.offer(2, "g", 0), b.offer(3, "g", 0), b.offer(4, "g", 0)))
	a.turn(nil)
	want(t, "a", a.grants(), "f/1")
	want(t, "b", b.grants(), "g/1 g/2 g/3")
	r = served(a, "h", 9) // g waits at 8: V does not pass it
	if v := r.Bands[0].VirtualTime; v != 8 {
		t.Errorf("V is %v, want 8: g waits there", v)
	}
}

// floatIsNotInFlight: nothing is revoked for the sake of slots that only have to be
// returned.
func floatIsNotInFlight(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 8), counting(-1, 8))
	b := newParty(t, l, "b", counting(0, 8), counting(-1, 8))
	a.turn(nil)
	b.turn(nil)
	a.bands[1].InFlight = 4
	wantFloat(t, "b", b.turn(float(0, 1)), 1, 4, 0)
	victims := func(s *store.Statement) {
		s.Evicts, s.Sheddable = true, []store.Sheddable{{Seq: 1, Priority: -1}}
	}
	r := a.turn(func(s *store.Statement) {
		victims(s)
		for n := range 4 {
			s.Offers = append(s.Offers, a.offer(n+1, "f", 0))
		}
	})
	want(t, "a", a.grants(), "f/1 f/2 f/3")
	if len(r.Revoke) > 0 {
		t.Errorf("%v are revoked while b has a permit", r.Revoke)
	}
	b.bands[1].InFlight = 1
	b.turn(nil)
	if r = a.turn(victims); len(r.Revoke) != 1 {
		t.Errorf("%v are revoked at a full pool, want one", r.Revoke)
	}
}

// numbersOfOneDigit are written with an exponent where it is not taken care of, and without
// a point.
func numbersOfOneDigit(t *testing.T, l store.Ledger, _ *Clock) {
	const small, large = 8e-05, 2e23
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	a.bands[0].Largest = small
	a.turn(func(s *store.Statement) {
		s.Settlements = []store.Settlement{{Flow: "f", Policy: "fair", Delta: large}}
	})
	r := b.turn(func(s *store.Statement) { s.WantHolders = true })
	if len(r.Bands) != 1 || r.Bands[0].Largest != small {
		t.Errorf("the bands are %+v, want one whose largest flow holds %g", r.Bands, small)
	}
	a.turn(offers(a.offer(1, "f", 0)))
	if r := a.turn(nil); len(r.Messages) != 0 || a.grants() != "f/1" || r.Bands[0].VirtualTime != large {
		t.Errorf("virtual time is %g once a flow was served at %g", r.Bands[0].VirtualTime, large)
	}
}

// numbersOfManyDigits: where a flow that waits stands so low that its place takes more
// digits than an integer has, a newcomer begins no lower, and what went by float passes it.
func numbersOfManyDigits(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 0))
	a.turn(func(s *store.Statement) {
		s.Settlements = []store.Settlement{{Flow: "f", Policy: "fair", Delta: -210408256387188330000000}}
	})
	newcomer := a.offer(2, "g", 0)
	newcomer.Idle = true
	a.turn(offers(a.offer(1, "f", 0), newcomer))
	a.turn(func(s *store.Statement) {
		s.Settlements = []store.Settlement{{Flow: "h", Policy: "fair", Delta: 2, Last: 1}}
	})
	a.bands[0].Limit = 2
	a.turn(nil)
	want(t, "the lowest first", a.grants(), "f/1 g/2")
}
