package storetest

import (
	"testing"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// settlementMovesPastOthers: a flow whose charge is corrected upwards goes behind all that wait below it by
// then.
func settlementMovesPastOthers(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(offers(a.offer(4, "e", 0), a.offer(1, "f", 1), a.offer(2, "g", 2), a.offer(3, "h", 3)))
	want(t, "the first, from which on they are in order", a.grants(), "e/4")
	a.turn(func(s *store.Statement) {
		s.Settlements = []store.Settlement{{Flow: "f", Policy: "fair", Delta: 5}}
	})
	a.bands[0].Limit = 4
	a.turn(nil)
	want(t, "the others", a.grants(), "g/2 h/3 f/1")
}

// newcomerIsNotBeforeV: of two flows that wait one is charged ten times as much, and then the other goes. V
// follows the one that is left, past the fluid server, which has shared its charge out to both. A newcomer
// that came before V would have all slots until it was there.
func newcomerIsNotBeforeV(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	large := a.offer(1, "f", 0)
	large.Charge = 10
	a.turn(offers(large, a.offer(2, "g", 0)))
	want(t, "the first", a.grants(), "f/1")
	a.turn(func(s *store.Statement) { s.Withdrawn = []policies.TicketID{a.ticket(2)} })
	a.finish(1)
	r := a.turn(offers(a.offer(3, "f", 10)))
	want(t, "the other", a.grants(), "f/3")
	if v, level := r.Bands[0].VirtualTime, r.Bands[0].Level; v != 10 || level != 11 {
		t.Errorf("V is %v and the level %v, want 10, and 11 with what was served since", v, level)
	}
}

// newcomerIsNotBeforeAll: nor does one come before all that wait, where the level has not followed their counters.
func newcomerIsNotBeforeAll(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 0))
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "g", 0)))
	a.turn(func(s *store.Statement) {
		s.Settlements = []store.Settlement{{Flow: "f", Policy: "fair", Delta: 10, Weight: 1}}
	})
	newcomer := func(n int) store.Offer {
		o := a.offer(n, "new", 0)
		o.Idle = true
		return o
	}
	a.turn(func(s *store.Statement) {
		s.Withdrawn, s.Offers = []policies.TicketID{a.ticket(2)}, []store.Offer{newcomer(3), newcomer(4)}
	})
	a.bands[0].Limit = 2
	a.turn(nil)
	want(t, "one each", a.grants(), "f/1 new/3")
}

// registeringRaisesCounters: of what replicas know of a flow that was served before the ledger forgot, the
// highest holds.
func registeringRaisesCounters(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newPair(t, l, 1)
	a.turn(func(s *store.Statement) { s.Counters = []store.Counter{{Flow: "f", Value: 2}} })
	b.turn(func(s *store.Statement) {
		s.Counters = []store.Counter{{Flow: "f", Value: 5}}
		s.Offers = []store.Offer{b.offer(1, "f", 0), b.offer(2, "g", 3)}
	})
	clock.Advance(Recovery)
	b.turn(nil)
	want(t, "the first", b.grants(), "g/2")
}

// laterProcessSettles: the batches of a later process under the same id begin anew, and are none of the
// earlier one's.
func laterProcessSettles(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	settle := func(delta float64) func(*store.Statement) {
		return func(s *store.Statement) {
			s.Settlements = []store.Settlement{{Flow: "f", Policy: "fair", Delta: delta}}
		}
	}
	a.turn(nil)
	a.turn(settle(5))
	later := newParty(t, l, "a", counting(0, 1))
	later.inc = 2
	later.turn(nil)
	later.turn(settle(3))
	r := later.turn(offers(later.offer(1, "f", 0)))
	if got := r.Messages[0].Counter; got != 9 {
		t.Errorf("f's counter is %v after a grant, want 9", got)
	}
}

// restatedIsNotLifted: an offer that is stated again was lifted when it first was.
func restatedIsNotLifted(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 0)
	b.members, a.members = 1, 1
	f := a.offer(1, "f", 0)
	f.Idle = true
	a.turn(offers(f, a.offer(2, "g", 3)))
	b.turn(func(s *store.Statement) { s.Bands[0].VirtualTime = 5 })
	a.full = true
	a.turn(offers(f, a.offer(2, "g", 3)))
	a.bands[0].Limit, b.bands[0].Limit = 2, 2
	b.turn(nil)
	a.turn(nil)
	want(t, "in order", a.grants(), "f/1 g/2")
}

// oneMessageATicket: a ticket that was granted and is stated again, since the reply was lost, is told of once.
func oneMessageATicket(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(nil)
	again := offers(a.offer(1, "f", 0))
	a.unheard(again)
	a.full = true
	if r := a.turn(again); len(r.Messages) != 1 || r.Bands[0].InFlight != 1 {
		t.Errorf("messages %+v and %d in flight, want one and 1: it counts, read or not", r.Messages, r.Bands[0].InFlight)
	}
}

// onlyTheOwnerWithdraws: what moved to another owner stands there, whatever the former says of it.
func onlyTheOwnerWithdraws(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 0)
	a.turn(nil)
	b.turn(nil)
	a.turn(offers(a.offer(1, "f", 0)))
	b.turn(offers(a.offer(1, "f", 0)))
	a.turn(func(s *store.Statement) { s.Withdrawn = []policies.TicketID{a.ticket(1)} })
	a.bands[0].Limit, b.bands[0].Limit = 1, 1
	b.turn(nil)
	a.turn(nil)
	want(t, "it goes", a.grants(), "f/1")
}

// unreadCountsToTheLimit: a grant that was not read counts to its flow's limit, whatever its ingress states.
func unreadCountsToTheLimit(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 9))
	a.turn(nil)
	one := func(s *store.Statement) { s.Limited = []store.Limited{{Flow: "f", MaxInFlight: 1}} }
	a.unheard(func(s *store.Statement) {
		one(s)
		s.Offers = a.many("f", 1, 1)
	})
	a.turn(func(s *store.Statement) {
		one(s)
		s.Offers = a.many("f", 2, 2)
	})
	want(t, "one", a.grants(), "f/1")
}

// whatIsNotStatedIsNotThere: a statement in full takes back what a flow with a limit had, where it says
// nothing of it.
func whatIsNotStatedIsNotThere(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 9)
	one := func(inFlight int64) func(*store.Statement) {
		return func(s *store.Statement) {
			s.Limited = []store.Limited{{Flow: "f", MaxInFlight: 1, InFlight: inFlight}}
		}
	}
	a.bands[0].InFlight = 1
	a.turn(one(1))
	b.turn(nil)
	b.turn(one(0))
	a.finish(1)
	a.full = true
	a.turn(nil)
	b.turn(func(s *store.Statement) {
		one(0)(s)
		s.Offers = b.many("f", 1, 1)
	})
	want(t, "there is room", b.grants(), "f/1")
}

// limitOfWhoWentHoldsNoMore: the least limit is of those with a lease, in the turn that finds one ended.
func limitOfWhoWentHoldsNoMore(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newPair(t, l, 3)
	b.bands[0].Limit = 1
	a.turn(nil)
	b.turn(nil)
	a.turn(offers(a.many("f", 1, 3)...))
	want(t, "while b says so", a.grants(), "f/1")
	clock.Advance(Lease / 2)
	a.turn(nil)
	clock.Advance(Lease/2 + 1e6)
	a.turn(nil)
	want(t, "at once", a.grants(), "f/2 f/3")
}
