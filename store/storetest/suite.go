package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// Run checks that the ledgers the factory makes keep the contract.
func Run(t *testing.T, factory Factory) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, store.Ledger, *Clock)
	}{
		{"UnknownMustRegister", unknownMustRegister},
		{"LowestRankFirstUpToTheLimit", lowestRankFirst},
		{"OneLimitForAll", oneLimitForAll},
		{"LeastStatedLimitHolds", leastLimitHolds},
		{"HigherPriorityFirst", higherPriorityFirst},
		{"CeilingStopsABand", ceilingStopsABand},
		{"FlowsShareOverOwners", flowsShareOverOwners},
		{"WeightsCount", weightsCount},
		{"IdleFlowIsLifted", idleFlowIsLifted},
		{"NotLiftedWhileAnotherOwnerHasIt", notLiftedWhileStanding},
		{"UnmarkedFlowIsNotLifted", unmarkedNotLifted},
		{"UncountedRanksStand", uncountedRanksStand},
		{"MailStaysUntilRead", mailStaysUntilRead},
		{"RepeatedTurnChangesNothing", repeatedTurn},
		{"WithdrawnIsNotGranted", withdrawnIsNotGranted},
		{"WithdrawnWhenGrantedAddsUp", withdrawnWhenGranted},
		{"NewOwnerReplacesOffer", newOwnerReplaces},
		{"GrantedTicketIsNotOfferedAgain", grantedNotOfferedAgain},
		{"ResyncWhenOffersDoNotAddUp", resync},
		{"SettledOncePerBatch", settledOnce},
		{"SettlementMovesStandingOffers", settlementMoves},
		{"LeaseEnds", leaseEnds},
		{"UnreadGrantsAreNotCharged", unreadNotCharged},
		{"StatedDeadByAll", statedDead},
		{"IngressWithoutLease", ingressWithoutLease},
		{"RolledBack", rolledBack},
		{"RecoveryWaitsForMembers", recoveryWaits},
		{"AllForgottenBeginsAnew", allForgotten},
		{"AloneBeginsAnew", aloneBeginsAnew},
		{"NewGenerationKeepsCounters", generationKeepsCounters},
		{"ServiceDecays", serviceDecays},
		{"RevokesJustEnough", revokes},
		{"RegisteringRestoresTheBook", registeringRestores},
		{"TwoPoliciesTakeTurns", twoPolicies},
		{"LaterProcessWins", laterProcessWins},
		{"LeaveEndsTheLease", leave},
		{"GrantWakesIngress", grantWakes},
		{"TotalsOfTheFleet", totals},
		{"SuggestsTheLeastLoaded", suggestsLeast},
		{"LoadsAreStatedAnew", loadsStated},
		{"LoadsOfTheDeadGo", loadsOfTheDead},
		{"TokensCount", tokensCount},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := NewClock()
			c.run(t, factory(t, clock.Now), clock)
		})
	}
}

// offers is an edit that offers tickets.
func offers(os ...store.Offer) func(*store.Statement) {
	return func(s *store.Statement) { s.Offers = os }
}

func unknownMustRegister(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.register = false
	if r := a.turn(offers(a.offer(1, "f", 0))); r.Status != store.Register {
		t.Fatalf("status %v, want register", r.Status)
	}
	want(t, "grants", a.grants(), "")
	if r := a.turn(offers(a.offer(1, "f", 0))); r.Status != store.OK {
		t.Fatalf("status %v after registering, want ok", r.Status)
	}
	want(t, "grants", a.grants(), "f/1")
}

func lowestRankFirst(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 3))
	a.turn(offers(a.offer(1, "x", 5), a.offer(2, "y", 1), a.offer(3, "z", 3), a.offer(4, "w", 9)))
	want(t, "first grants", a.grants(), "y/2 z/3 x/1")
	a.finish(1)
	a.turn(nil)
	want(t, "after a release", a.grants(), "w/4")
}

func oneLimitForAll(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 2)), newParty(t, l, "b", counting(0, 2))
	a.turn(nil)
	b.turn(nil)
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1)))
	b.turn(offers(b.offer(1, "g", 0)))
	want(t, "a", a.grants(), "f/1 f/2")
	want(t, "b while a holds all", b.grants(), "")
	a.finish(1)
	a.turn(nil)
	b.turn(nil)
	want(t, "b after a release of a", b.grants(), "g/1")
}

func leastLimitHolds(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 10)), newParty(t, l, "b", counting(0, 1))
	none := newParty(t, l, "c", counting(0, store.NoOpinion))
	a.turn(nil)
	b.turn(nil)
	none.turn(nil)
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1), a.offer(3, "f", 2)))
	want(t, "under the least limit", a.grants(), "f/1")
	b.bands[0].Limit = 2
	b.turn(nil)
	a.turn(nil)
	want(t, "after it was raised", a.grants(), "f/2")
	b.turn(func(s *store.Statement) { s.Leave = true })
	a.turn(nil)
	want(t, "after its replica left", a.grants(), "f/3")
}

func higherPriorityFirst(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(10, 1), counting(0, 1), counting(-1, 1))
	at := func(n, priority int) store.Offer {
		o := a.offer(n, fmt.Sprint("p", priority), 0)
		o.Priority = priority
		return o
	}
	a.turn(offers(at(1, -1), at(2, 0), at(3, 10), at(4, 10)))
	want(t, "first", a.grants(), "p10/3")
	for _, next := range []string{"p10/4", "p0/2", "p-1/1", ""} {
		for i := range a.bands {
			a.bands[i].InFlight = 0
		}
		a.turn(nil)
		want(t, "next", a.grants(), next)
	}
}

func ceilingStopsABand(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(1, 4), counting(0, 2))
	low := func(n int) store.Offer {
		o := a.offer(n, "low", float64(n))
		o.Priority = 0
		return o
	}
	a.turn(offers(low(1), low(2), low(3)))
	want(t, "low band up to its ceiling", a.grants(), "low/1 low/2")
	a.turn(offers(a.offer(4, "high", 0), a.offer(5, "high", 1), a.offer(6, "high", 2)))
	want(t, "high band up to its own", a.grants(), "high/4 high/5")
}

func flowsShareOverOwners(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	a.turn(nil)
	b.turn(nil)
	// Flow f is offered by both owners, g by one of them only; the scores are
	// the arrivals.
	var fa, fb []store.Offer
	for n := 1; n <= 4; n++ {
		fa = append(fa, a.offer(2*n, "f", float64(n-1)))
		fb = append(fb, b.offer(2*n+1, "f", float64(n-1)), b.offer(100+n, "g", float64(n-1)))
	}
	a.turn(offers(fa...))
	b.turn(offers(fb...))
	var order []string
	for range 8 {
		a.turn(nil)
		b.turn(nil)
		for _, p := range []*party{a, b} {
			if g := p.grants(); g != "" {
				order = append(order, g)
				p.finish(1)
				p.turn(nil)
			}
		}
	}
	got := strings.Join(order, " ")
	if f, g := strings.Count(got, "f/"), strings.Count(got, "g/"); f < 3 || g < 3 || f-g > 1 || g-f > 1 {
		t.Errorf("f was served %d times and g %d: %s", f, g, got)
	}
}

func weightsCount(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	var os []store.Offer
	for n := range 6 {
		heavy, light := a.offer(n, "heavy", float64(n)/2), a.offer(100+n, "light", float64(n))
		heavy.Charge = 0.5
		os = append(os, heavy, light)
	}
	a.turn(offers(os...))
	for range 5 {
		a.finish(1)
		a.turn(nil)
	}
	got := a.grants()
	if heavy, light := strings.Count(got, "heavy"), strings.Count(got, "light"); heavy != 4 || light != 2 {
		t.Errorf("heavy %d, light %d of 6 grants: %s", heavy, light, got)
	}
}

func idleFlowIsLifted(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(offers(a.offer(1, "old", 0), a.offer(2, "old", 1), a.offer(3, "old", 2), a.offer(4, "old", 3)))
	for range 2 {
		a.finish(1)
		a.turn(nil)
	}
	want(t, "old flow alone", a.grants(), "old/1 old/2 old/3")
	first := a.offer(10, "new", 0)
	first.Idle = true
	a.finish(1)
	a.turn(offers(first, a.offer(11, "new", 1), a.offer(12, "new", 2)))
	for range 3 {
		a.finish(1)
		a.turn(nil)
	}
	// V is 2, the rank of old/3; the newcomer starts there and has no credit
	// for the past: old follows after one turn, not after three.
	want(t, "with a newcomer", a.grants(), "new/10 old/4 new/11 new/12")
}

func notLiftedWhileStanding(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	a.turn(nil)
	b.turn(nil)
	// g gets to 5 while f, at 0, waits behind a full pool at owner a.
	b.turn(offers(b.offer(1, "g", 5), b.offer(2, "g", 6)))
	want(t, "g", b.grants(), "g/1")
	a.turn(offers(a.offer(1, "f", 0)))
	// b saw f idle, and is wrong: its ticket must not lose f's place.
	mark := b.offer(3, "f", 0)
	mark.Idle = true
	b.turn(offers(mark))
	b.finish(1)
	b.turn(nil)
	a.turn(nil)
	want(t, "a", a.grants(), "f/1")
	a.finish(1)
	a.turn(nil)
	b.turn(nil)
	want(t, "b: f is at 1 still, before g at 6", b.grants(), "f/3")
}

func unmarkedNotLifted(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(offers(a.offer(1, "g", 7), a.offer(2, "g", 8)))
	a.turn(offers(a.offer(3, "f", 3), a.offer(4, "f", 4)))
	for range 3 {
		a.finish(1)
		a.turn(nil)
	}
	want(t, "f kept the place it waited at", a.grants(), "g/1 f/3 f/4 g/2")
}

func uncountedRanksStand(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", store.Band{Priority: 0, Policy: "strict", Limit: 1})
	var os []store.Offer
	for n, flow := range []string{"f", "f", "g", "f"} {
		o := a.offer(n+1, flow, float64(10*(n+1)))
		o.Charge = 0
		os = append(os, o)
	}
	a.turn(offers(os[3], os[1], os[0], os[2]))
	for range 3 {
		a.finish(1)
		a.turn(nil)
	}
	want(t, "by rank alone", a.grants(), "f/1 f/2 g/3 f/4")
}

func mailStaysUntilRead(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	b.turn(nil)
	// The reply with the grant is lost.
	lost := a.statement(offers(a.offer(1, "f", 0)))
	if _, err := l.Turn(context.Background(), lost); err != nil {
		t.Fatal(err)
	}
	b.turn(offers(b.offer(1, "g", 0)))
	want(t, "b while a's grant is unread", b.grants(), "")
	a.register = false
	a.generation, a.answered = b.generation, 0
	a.turn(nil)
	want(t, "a in its next turn", a.grants(), "f/1")
	if r := a.turn(nil); len(r.Mail) != 0 {
		t.Errorf("%d pieces of mail after they were read", len(r.Mail))
	}
	a.finish(1)
	a.turn(nil)
	b.turn(nil)
	want(t, "b after a's release", b.grants(), "g/1")
}

func repeatedTurn(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 2))
	a.turn(nil)
	s := a.statement(offers(a.offer(1, "f", 0)))
	reply, err := l.Turn(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	a.take(s, reply)
	again, err := l.Turn(context.Background(), s) // arrives late, a second time
	if err != nil {
		t.Fatal(err)
	}
	if again.InFlight != 1 {
		t.Errorf("in flight %d after a repeated turn, want 1", again.InFlight)
	}
	a.turn(nil)
	want(t, "grants", a.grants(), "f/1")
}

func withdrawnIsNotGranted(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1), a.offer(3, "f", 2)))
	r := a.turn(func(s *store.Statement) { s.Withdrawn = []policies.TicketID{a.ticket(2)} })
	if r.Status != store.OK {
		t.Errorf("status %v", r.Status)
	}
	a.finish(1)
	a.turn(nil)
	want(t, "grants", a.grants(), "f/1 f/3")
}

func withdrawnWhenGranted(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	a.turn(nil)
	b.turn(nil)
	b.turn(offers(b.offer(1, "g", 0)))
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1)))
	b.finish(1)
	b.turn(nil) // grants f/1 to a
	r := a.turn(func(s *store.Statement) { s.Withdrawn = []policies.TicketID{a.ticket(1)} })
	a.standing++ // the mail says taken, and the withdrawal counted already
	if r.Status != store.OK {
		t.Errorf("status %v for a withdrawal that crossed its grant", r.Status)
	}
	want(t, "the grant arrives all the same", a.grants(), "f/1")
	if r := a.turn(nil); r.Status != store.OK {
		t.Errorf("status %v in the turn after", r.Status)
	}
}

func newOwnerReplaces(t *testing.T, l store.Ledger, _ *Clock) {
	in := newParty(t, l, "in", counting(0, 1))
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	in.turn(offers(in.offer(1, "busy", 0)))
	a.turn(nil)
	b.turn(nil)
	a.turn(offers(in.offer(2, "f", 0)))
	b.turn(offers(in.offer(2, "f", 0)))
	r := a.turn(nil)
	if len(r.Mail) != 1 || r.Mail[0].Kind != store.Dropped {
		t.Fatalf("the old owner's mail: %+v, want one that says dropped", r.Mail)
	}
	in.finish(1)
	in.turn(nil)
	want(t, "granted once", in.grants(), "busy/1 f/2")
	if r := b.turn(nil); len(r.Mail) != 1 || r.Mail[0].Kind != store.Taken || r.Status != store.OK {
		t.Errorf("the new owner's answer: %v %+v, want one mail that says taken", r.Status, r.Mail)
	}
	if r := a.turn(nil); r.Status != store.OK {
		t.Errorf("the old owner's status: %v", r.Status)
	}
}

func grantedNotOfferedAgain(t *testing.T, l store.Ledger, _ *Clock) {
	in := newParty(t, l, "in", counting(0, 4))
	a, b := newParty(t, l, "a", counting(0, 4)), newParty(t, l, "b", counting(0, 4))
	in.turn(nil)
	b.turn(nil)
	lost := a.statement(offers(in.offer(1, "f", 0)))
	if _, err := l.Turn(context.Background(), lost); err != nil { // granted; a has not read so
		t.Fatal(err)
	}
	r := b.turn(offers(in.offer(1, "f", 0)))
	if len(r.Mail) != 1 || r.Mail[0].Kind != store.Taken || r.Status != store.OK {
		t.Errorf("a second owner's answer: %v %+v, want mail that says taken", r.Status, r.Mail)
	}
	in.turn(nil)
	want(t, "granted once", in.grants(), "f/1")
}

func resync(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1)))
	a.standing += 3
	if r := a.turn(nil); r.Status != store.Resync {
		t.Fatalf("status %v when the offers do not add up, want resync", r.Status)
	}
	if r := a.turn(offers(a.offer(5, "f", 1))); r.Status != store.OK {
		t.Fatalf("status %v after the offers were restated", r.Status)
	}
	a.finish(1)
	a.turn(nil)
	want(t, "only what was restated stands", a.grants(), "f/1 f/5")
}

func settledOnce(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(offers(a.offer(1, "f", 0)))
	s := a.statement(func(s *store.Statement) {
		s.Settlements = []store.Settlement{{Flow: "f", Policy: "fair", Delta: 4, Counter: 1}}
	})
	if _, err := l.Turn(context.Background(), s); err != nil { // the reply is lost
		t.Fatal(err)
	}
	a.turn(func(again *store.Statement) { again.Settlements, a.batch = s.Settlements, a.batch-1 })
	a.finish(1)
	a.turn(offers(a.offer(2, "f", 0)))
	a.turn(nil)
	a.finish(1)
	reply := a.turn(offers(a.offer(3, "f", 0)))
	if len(reply.Mail) == 0 || reply.Mail[len(reply.Mail)-1].Counter != 7 {
		t.Errorf("the flow's counter after charges of 3 and one settlement of 4: %+v", reply.Mail)
	}
}

func settlementMoves(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1), a.offer(3, "g", 0), a.offer(4, "g", 1)))
	a.turn(func(s *store.Statement) {
		s.Settlements = []store.Settlement{{Flow: "f", Policy: "fair", Delta: 5, Counter: 1}}
	})
	for range 2 {
		a.finish(1)
		a.turn(nil)
	}
	want(t, "f fell behind", a.grants(), "f/1 g/3 g/4")
	a.turn(func(s *store.Statement) {
		s.Offers = []store.Offer{a.offer(5, "g", 2)}
		s.Settlements = []store.Settlement{{Flow: "f", Policy: "fair", Delta: -5, Counter: 1}}
	})
	a.finish(1)
	a.turn(nil)
	want(t, "f moved up again", a.grants(), "f/2")
}

func leaseEnds(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	a.turn(nil)
	b.turn(nil)
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1)))
	b.turn(offers(b.offer(1, "g", 5)))
	clock.Advance(Lease / 2)
	b.turn(nil)
	want(t, "b within a's lease", b.grants(), "")
	clock.Advance(Lease/2 + time.Millisecond)
	if r := b.turn(nil); r.Members != 1 {
		t.Errorf("%d members after a's lease, want 1", r.Members)
	}
	want(t, "b after it: a's slot is free, a's offer gone", b.grants(), "g/1")
	if r := a.turn(nil); r.Status != store.Register {
		t.Errorf("status %v for a after its lease, want register", r.Status)
	}
}

func unreadNotCharged(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	b.turn(nil)
	lost := a.statement(offers(a.offer(1, "f", 0)))
	if _, err := l.Turn(context.Background(), lost); err != nil {
		t.Fatal(err)
	}
	clock.Advance(Lease / 2)
	b.turn(nil)
	clock.Advance(Lease/2 + time.Millisecond)
	b.turn(offers(b.offer(1, "f", 0)))
	b.finish(1)
	b.turn(nil)
	want(t, "b", b.grants(), "f/1")
	reply := b.turn(offers(b.offer(2, "f", 1)))
	if len(reply.Mail) != 1 || reply.Mail[0].Counter != 2 {
		t.Errorf("after two charges that were read: %+v, want counter 2", reply.Mail)
	}
}

func statedDead(t *testing.T, l store.Ledger, clock *Clock) {
	a, b, c := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1)), newParty(t, l, "c", counting(0, 1))
	for _, p := range []*party{a, b, c} {
		p.turn(nil)
	}
	dead := func(s *store.Statement) { s.Dead = []string{"c"} }
	c.turn(offers(c.offer(1, "f", 0)))
	a.turn(offers(a.offer(1, "g", 0)))
	a.turn(dead)
	want(t, "while only one says so", a.grants(), "")
	if r := b.turn(dead); r.Members != 3 {
		t.Errorf("%d members although it spoke just now, want 3", r.Members)
	}
	clock.Advance(Timings().Lease / 2)
	a.turn(dead)
	if r := b.turn(dead); r.Members != 2 {
		t.Errorf("%d members when all others say so, want 2", r.Members)
	}
	a.turn(dead)
	want(t, "its slot is free", a.grants(), "g/1")
}

func ingressWithoutLease(t *testing.T, l store.Ledger, _ *Clock) {
	a, gone := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "gone", counting(0, 1))
	r := a.turn(offers(gone.offer(1, "f", 0), a.offer(2, "f", 1)))
	want(t, "the next in line is granted", a.grants(), "f/2")
	dropped := 0
	for _, m := range r.Mail {
		if m.Kind == store.Dropped && m.Ticket == gone.ticket(1) {
			dropped++
		}
	}
	if dropped != 1 {
		t.Errorf("mail to the owner: %+v, want one dropped", r.Mail)
	}
	if r := a.turn(nil); r.Status != store.OK {
		t.Errorf("status %v", r.Status)
	}
}

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

func allForgotten(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newParty(t, l, "a", counting(0, 4)), newParty(t, l, "b", counting(0, 4))
	a.members, b.members = 2, 2
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
	a.turn(nil)
	want(t, "the pool is full", a.grants(), "")
	b.finish(1)
	b.turn(nil)
	a.turn(nil)
	want(t, "a slot came free", a.grants(), "f/1")
}

func aloneBeginsAnew(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 4)), newParty(t, l, "b", counting(0, 4))
	a.members, b.members = 2, 2
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

func serviceDecays(t *testing.T, l store.Ledger, clock *Clock) {
	band := counting(0, 1)
	band.LiftsIdle, band.HalfLife = false, time.Second
	a := newParty(t, l, "a", band)
	serve := func(n int, flow string, charge float64) float64 {
		t.Helper()
		o := a.offer(n, flow, 0)
		o.Charge = charge
		var told float64
		for _, edit := range []func(*store.Statement){offers(o), nil} {
			for _, m := range a.turn(edit).Mail {
				if m.Ticket == o.Ticket {
					told = m.Counter
				}
			}
		}
		a.finish(1)
		return told
	}
	serve(1, "old", 8)
	for range 400 { // through more half-lives than a float has binary digits, in several steps
		clock.Advance(time.Second)
		a.turn(nil)
	}
	if told := serve(2, "old", 8); told != 8 {
		t.Errorf("8 long after 8 count %v, want 8", told)
	}
	clock.Advance(time.Second)
	a.turn(nil)
	clock.Advance(time.Second)
	serve(3, "new", 4)
	if told := serve(4, "old", 1); told != 3 {
		t.Errorf("8 two half-lives ago and 1 count %v, want 3", told)
	}
	a.bands[0].InFlight = 1
	a.turn(offers(a.offer(6, "new", 0), a.offer(5, "old", 0)))
	clock.Advance(500 * time.Millisecond)
	a.finish(1)
	a.turn(nil)
	want(t, "3 go before 4", a.grants(), "old/1 old/2 new/3 old/4 old/5")
}

// revokes has a higher band wait at a pool that two replicas filled with sheddable
// requests.
func revokes(t *testing.T, l store.Ledger, _ *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, b := newParty(t, l, "a", counting(0, 4), counting(-1, 4)), newParty(t, l, "b", counting(0, 4), counting(-1, 4))
	a.bands[1].InFlight, b.bands[1].InFlight = 2, 2
	sheddable := map[*party][]store.Sheddable{
		a: {{Seq: 7, Priority: -1, Score: -300}, {Seq: 6, Priority: -1, Score: -100}},
		b: {{Seq: 9, Priority: -1, Score: -200}, {Seq: 8, Priority: -2, Score: 0}},
	}
	turn := func(p *party, revoking int64, os ...store.Offer) string {
		t.Helper()
		r := p.turn(func(s *store.Statement) {
			s.Evicts, s.Sheddable, s.Revoking, s.Offers = true, sheddable[p], revoking, os
		})
		return strings.Trim(fmt.Sprint(r.Revoke), "[]")
	}
	wakeups := l.Wakeups(ctx, "b")
	turn(a, 0)
	want(t, "nobody of a higher band waits", turn(b, 0), "")
	want(t, "two wait: the lowest priority's goes first, then the newest", turn(a, 0, a.offer(1, "f", 0), a.offer(2, "f", 0)), "7")
	select {
	case <-wakeups:
	case <-time.After(10 * time.Second):
		t.Fatal("a replica that has a request to revoke is not woken")
	}
	want(t, "b's part", turn(b, 0), "8")
	want(t, "again until a says so", turn(a, 0), "7")
	sheddable[a], sheddable[b] = sheddable[a][1:], sheddable[b][:1]
	want(t, "a revokes one", turn(a, 1), "")
	want(t, "b revokes the other", turn(b, 1), "")
	a.bands[1].InFlight, b.bands[1].InFlight = 1, 1
	turn(a, 0)
	want(t, "both are over", turn(b, 0), "")
	a.turn(nil)
	want(t, "and make room", a.grants(), "f/1 f/2")
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

func twoPolicies(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	b := newParty(t, l, "b", store.Band{Priority: 0, Policy: "other", CountsService: true, LiftsIdle: true, Limit: 1})
	a.turn(nil)
	b.turn(nil)
	var fa, fb []store.Offer
	for n := range 4 {
		fa = append(fa, a.offer(n, "f", float64(n)))
		big := b.offer(n, "f", float64(1000*n))
		big.Charge = 1000
		fb = append(fb, big)
	}
	a.turn(offers(fa...))
	b.turn(offers(fb...))
	var order []string
	for len(order) < 4 {
		for _, p := range []*party{a, b} {
			p.turn(nil)
			if p.grants() != "" {
				order = append(order, p.id)
				p.finish(1)
				p.turn(nil)
				if p.grants() != "" { // its own release let it go on
					order = append(order, p.id)
					p.finish(1)
				}
			}
		}
	}
	if got := strings.Join(order[:4], ""); strings.Count(got, "a") != 2 {
		t.Errorf("the first four grants went to %s, want the policies to take turns", got)
	}
}

func laterProcessWins(t *testing.T, l store.Ledger, _ *Clock) {
	old, later := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "a", counting(0, 1))
	later.inc = 2
	old.turn(offers(old.offer(1, "f", 0)))
	if r := later.turn(nil); r.InFlight != 0 {
		t.Errorf("in flight %d after a later process took the id, want 0", r.InFlight)
	}
	if _, err := l.Turn(context.Background(), old.statement(nil)); !errors.Is(err, store.ErrSuperseded) {
		t.Errorf("the earlier process gets %v, want ErrSuperseded", err)
	}
}

func leave(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	a.turn(nil)
	b.turn(nil)
	a.turn(offers(a.offer(1, "f", 0)))
	b.turn(offers(b.offer(1, "g", 0)))
	a.turn(func(s *store.Statement) { s.Leave = true })
	if r := b.turn(nil); r.Members != 1 {
		t.Errorf("%d members after one left", r.Members)
	}
	want(t, "its slot is free", b.grants(), "g/1")
}

func grantWakes(t *testing.T, l store.Ledger, _ *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	a.turn(nil)
	b.turn(nil)
	a.turn(offers(a.offer(1, "f", 0)))
	b.turn(offers(b.offer(1, "g", 0)))
	wakeups := l.Wakeups(ctx, "b")
	deadline := time.After(10 * time.Second)
	a.finish(1)
	a.turn(nil)
	select {
	case w := <-wakeups:
		if w.Incarnation != b.inc || w.Registered != 1 || len(w.Mail) != 1 {
			t.Fatalf("woken by %+v, want the one piece of mail of the registration by statement 1", w)
		}
		if m := w.Mail[0]; m.Ticket != b.ticket(1) || m.Flow != "g" || m.Kind&store.Granted == 0 || m.Charge != 1 {
			t.Errorf("the mail is %+v, want the grant of g/1", m)
		}
	case <-deadline:
		t.Fatal("no wake-up for a grant that another replica's turn made")
	}
	b.turn(nil)
	want(t, "b", b.grants(), "g/1")
	cancel()
	for {
		select {
		case _, open := <-wakeups:
			if !open {
				return
			}
		case <-deadline:
			t.Fatal("the channel is not closed when its context ends")
		}
	}
}

func totals(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 2)), newParty(t, l, "b", counting(0, 2), counting(-1, 2))
	a.bands[0].Queued, a.bands[0].QueuedBytes = 3, 300
	b.bands[0].Queued, b.bands[0].QueuedBytes = 4, 400
	b.bands[1].Queued, b.bands[1].QueuedBytes = 1, 10
	b.bands[1].InFlight = 1
	a.turn(nil)
	b.turn(nil)
	r := a.turn(nil)
	if r.Queued != 8 || r.QueuedBytes != 710 || r.InFlight != 1 || r.Members != 2 {
		t.Errorf("totals: queued %d, bytes %d, in flight %d, members %d", r.Queued, r.QueuedBytes, r.InFlight, r.Members)
	}
	if len(r.Bands) != 1 || r.Bands[0].Queued != 7 || r.Bands[0].QueuedBytes != 700 {
		t.Errorf("band totals: %+v", r.Bands)
	}
}
