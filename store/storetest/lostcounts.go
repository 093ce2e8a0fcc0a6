package storetest

import (
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// oneRumourIsNone: a replica that has been silent for a while is lost once all others say so, and not before.
func oneRumourIsNone(t *testing.T, l store.Ledger, clock *Clock) {
	a, b, c := newThree(t, l, 1)
	dead := func(s *store.Statement) { s.Dead = []string{"c"} }
	c.turn(nil)
	clock.Advance(Lease / 2)
	b.turn(nil)
	if r := a.turn(dead); r.Members != 3 {
		t.Errorf("%d members where one of two says that the third is dead, want 3", r.Members)
	}
}

// lostForAMinuteAtMost: what is lost counts for no longer than the ledger keeps it, however long requests take.
func lostForAMinuteAtMost(t *testing.T, l store.Ledger, clock *Clock) {
	lostFor(t, l, clock, KeepLost, time.Hour, 0, time.Hour)
}

// lostForTheLongestOfAny: it counts for as long as the longest of any replica's, whichever that is.
func lostForTheLongestOfAny(t *testing.T, l store.Ledger, clock *Clock) {
	lostFor(t, l, clock, store.LostFactor*4*time.Second, time.Second, 4*time.Second, time.Second)
}

// lostFor loses one of three, with a request in flight, whose longest requests took so long.
func lostFor(t *testing.T, l store.Ledger, clock *Clock, expected time.Duration, longest ...time.Duration) {
	t.Helper()
	a, b, c := newThree(t, l, 1)
	takes := func(p *party, d time.Duration) *store.Reply {
		return p.turn(func(s *store.Statement) { s.Longest = d })
	}
	a.bands[0].InFlight = 1
	takes(a, longest[0])
	clock.Advance(Lease / 2)
	takes(b, longest[1])
	takes(c, longest[2])
	clock.Advance(Lease / 2)
	if r := takes(c, longest[2]); len(r.Lost) != 1 || r.Lost[0].For != expected {
		t.Errorf("lost %+v, want one for %v", r.Lost, expected)
	}
}

// lostSettleOnceForAMinute: which settlements of a replica were applied that held nothing is known for as long
// as anything of the lost is: it may not have heard.
func lostSettleOnceForAMinute(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newPair(t, l, 1)
	short := func(s *store.Statement) { s.Longest = time.Second }
	a.turn(short)
	b.turn(short)
	settle := func(s *store.Statement) {
		s.Longest, s.Batch = time.Second, 1
		s.Settlements = []store.Settlement{{Flow: "f", Policy: "fair", Delta: 4}}
	}
	a.unheard(settle)
	for range 40 {
		clock.Advance(time.Second)
		b.turn(short)
	}
	a.turn(nil)
	a.batch = 0
	a.turn(settle)
	r := a.turn(offers(a.offer(1, "f", 0)))
	if got := r.Messages[0].Counter; got != 5 {
		t.Errorf("f's counter is %v after a grant, want 5", got)
	}
}

// debtsOfTheLostAreForgiven: whether a replica had what it held until its lease ended is not known, so no class
// pays for that.
func debtsOfTheLostAreForgiven(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newRivals(t, l, counting(10, 2), guaranteed(0, 2, 0.5)), newRivals(t, l, counting(10, 2), guaranteed(0, 2, 0.5))
	b.id = "b"
	a.turn(nil)
	b.turn(nil)
	b.bands[0].InFlight = 1
	b.turn(b.fill(10, 9))
	b.turn(b.fill(10, 9))
	b.bands[0].InFlight = 1
	a.turn(a.fill(0, 1))
	b.turn(nil)
	a.turn(nil)
	clock.Advance(Lease / 2)
	if owed := b.turn(nil).Bands[1].Owed; owed >= 0 {
		t.Fatalf("it is owed %g while it has a whole slot for half a one", owed)
	}
	clock.Advance(Lease/2 + time.Millisecond)
	b.turn(nil)
	clock.Advance(time.Millisecond)
	if owed := b.turn(nil).Bands[1].Owed; owed != 0 {
		t.Errorf("it is owed %g when the replica that had the slot is lost, want 0", owed)
	}
}
