package storetest

import (
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

func rolledBack(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 2))
	a.turn(nil)
	a.turn(offers(a.offer(1, "f", 0)))
	before := a.generation
	// As if the ledger had forgotten turns that it answered.
	a.number += 5
	a.answered = a.number
	r := a.turn(nil)
	if r.Status != store.Register || r.Generation == before {
		t.Fatalf("status %v, generation %d after %d: want register in a new one", r.Status, r.Generation, before)
	}
	if r := a.turn(nil); r.Status != store.OK || r.InFlight != 1 {
		t.Errorf("status %v, in flight %d after registering", r.Status, r.InFlight)
	}
}

func recoveryWaits(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newParty(t, l, "a", counting(0, 4)), newParty(t, l, "b", counting(0, 4))
	a.members = 2
	r := a.turn(offers(a.offer(1, "f", 0)))
	want(t, "before the other member is back", a.grants(), "")
	if !r.Recovering {
		t.Error("the reply does not say that the ledger recovers")
	}
	b.turn(nil)
	a.turn(nil)
	want(t, "when all are back", a.grants(), "f/1")
	// One that never comes back is waited for for a second.
	a.answered = a.number + 7
	a.number += 7
	a.turn(nil)
	a.turn(offers(a.offer(2, "f", 1)))
	want(t, "in the next recovery", a.grants(), "")
	clock.Advance(Recovery + time.Millisecond)
	a.turn(nil)
	want(t, "after it", a.grants(), "f/2")
}

// recoveryWaitsForLeases: a new generation waits for all that had a lease in the one before,
// and one that begins in its recovery still does, whatever those know who register first.
func recoveryWaitsForLeases(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 4)
	a.turn(nil)
	b.turn(nil)
	b.bands[0].InFlight = 4
	b.turn(nil)
	a.members = 1
	for n := range 2 {
		a.number, a.answered = a.number+7, a.number+7 // as if the ledger had forgotten turns
		a.turn(nil)
		if r := a.turn(offers(a.offer(n, "f", 0))); !r.Recovering {
			t.Errorf("generation %d does not wait for b", n+2)
		}
	}
	want(t, "before b has said what it has", a.grants(), "")
	b.turn(nil)
	b.turn(nil)
	a.turn(nil)
	want(t, "the pool is full of what b has", a.grants(), "")
}

func allForgotten(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newPair(t, l, 4)
	a.turn(nil)
	b.turn(nil)
	a.bands[0].InFlight, b.bands[0].InFlight = 2, 2
	clock.Advance(Lease + time.Millisecond) // both stalled
	if r := a.turn(nil); r.Status != store.Register {
		t.Fatalf("status %v, want register", r.Status)
	}
	a.turn(offers(a.offer(1, "f", 0)))
	want(t, "before b has said what it has", a.grants(), "")
	b.turn(nil)
	b.turn(nil)
	heldByBoth(t, a, b)
}

func aloneBeginsAnew(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 4)
	a.turn(nil)
	b.turn(nil)
	alone := func(s *store.Statement) { s.Alone, s.Offers = true, []store.Offer{a.offer(1, "f", 0)} }
	a.register, a.bands[0].InFlight = true, 2
	r := a.turn(alone)
	if !r.Recovering {
		t.Error("no recovery although others may have dispatched alone as well")
	}
	want(t, "before the other has said what it has", a.grants(), "")
	b.bands[0].InFlight = 2
	b.register = true
	b.turn(func(s *store.Statement) { s.Alone = true })
	heldByBoth(t, a, b)
}

// heldByBoth wants the pool to be full of what a and b have in flight, and a's ticket to
// be granted when one of b's ends.
func heldByBoth(t *testing.T, a, b *party) {
	t.Helper()
	a.turn(nil)
	want(t, "the pool is full", a.grants(), "")
	b.finish(1)
	b.turn(nil)
	a.turn(nil)
	want(t, "a slot came free", a.grants(), "f/1")
}

func generationKeepsCounters(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	for n := range 3 {
		a.turn(offers(a.offer(n, "served", 0)))
		a.turn(nil)
		a.finish(1)
	}
	want(t, "alone in the pool", a.grants(), "served/0 served/1 served/2")
	a.register, a.bands[0].InFlight = true, 1
	a.turn(func(s *store.Statement) { // remembers less than the ledger
		s.Alone, s.Offers = true, []store.Offer{a.offer(3, "served", 0), a.offer(4, "other", 2)}
	})
	a.finish(1)
	a.turn(nil)
	want(t, "what was served before still counts", a.grants(), "other/4")
}

func registeringRestores(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.bands[0].VirtualTime, a.bands[0].InFlight = 10, 1
	idle := a.offer(3, "new", 0)
	idle.Idle = true
	a.turn(func(s *store.Statement) {
		s.Counters = []store.Counter{{Flow: "debtor", Value: 12}}
		s.Offers = []store.Offer{a.offer(1, "debtor", 5), a.offer(2, "waiter", 9), idle}
	})
	want(t, "the pool is full of what was in flight", a.grants(), "")
	for range 3 {
		a.finish(1)
		a.turn(nil)
	}
	want(t, "places and debts as before", a.grants(), "waiter/2 new/3 debtor/1")
}
