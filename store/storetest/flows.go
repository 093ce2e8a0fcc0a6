package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

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
	a.turn(offers(a.offer(1, "back", 0)))
	a.turn(offers(a.offer(2, "old", 0), a.offer(3, "old", 0), a.offer(4, "old", 0), a.offer(5, "old", 0), a.offer(6, "old", 0)))
	for range 4 {
		a.finish(1)
		a.turn(nil)
	}
	want(t, "old flow alone", a.grants(), "back/1 old/2 old/3 old/4 old/5")
	first := a.offer(10, "back", 0)
	first.Idle = true
	a.turn(offers(first, a.offer(11, "back", 0), a.offer(12, "back", 0)))
	for range 3 {
		a.finish(1)
		a.turn(nil)
	}
	// V is 3, the rank of old/5; the flow that was at 1 starts there and has no credit
	// for the past: old follows after one turn, not after three.
	want(t, "with one that comes back", a.grants(), "back/10 old/6 back/11")
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
	if len(reply.Messages) == 0 || reply.Messages[len(reply.Messages)-1].Counter != 7 {
		t.Errorf("the flow's counter after charges of 3 and one settlement of 4: %+v", reply.Messages)
	}
}

// settledOnceOverALoss: a replica does not know whether a batch was applied, and its lease
// ends, or a generation, before it can say so again.
func settledOnceOverALoss(t *testing.T, l store.Ledger, clock *Clock) {
	for n, forget := range []func(a, b *party){
		func(_, b *party) {
			for range 2 {
				clock.Advance(Lease/2 + time.Millisecond)
				b.turn(nil)
			}
		},
		func(_, b *party) {
			b.register = true
			b.turn(func(s *store.Statement) { s.Alone = true })
		},
	} {
		a, b := newParty(t, l, fmt.Sprint("a", n), counting(0, 1)), newParty(t, l, fmt.Sprint("b", n), counting(0, 1))
		flow := fmt.Sprint("f", n)
		b.turn(nil)
		a.turn(offers(a.offer(1, flow, 0)))
		a.finish(1)
		s := a.statement(func(s *store.Statement) {
			s.Settlements = []store.Settlement{{Flow: flow, Policy: "fair", Delta: 4, Counter: 1}}
		})
		if _, err := l.Turn(context.Background(), s); err != nil { // the reply is lost
			t.Fatal(err)
		}
		forget(a, b)
		if r := a.turn(nil); r.Status != store.Register {
			t.Fatalf("status %v, want register", r.Status)
		}
		r := a.turn(func(again *store.Statement) {
			again.Settlements, a.batch = s.Settlements, a.batch-1
			again.Offers = []store.Offer{a.offer(2, flow, 0)}
		})
		if len(r.Lost) > 0 {
			t.Errorf("lost: %+v, and nobody held anything", r.Lost)
		}
		b.turn(nil)
		messages := append(slices.Clone(r.Messages), a.turn(nil).Messages...)
		if len(messages) == 0 || messages[len(messages)-1].Counter != 6 {
			t.Errorf("the flow's counter after charges of 2 and one settlement of 4: %+v", messages)
		}
		a.finish(1)
		a.turn(func(s *store.Statement) { s.Leave = true })
		b.turn(func(s *store.Statement) { s.Leave = true })
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

// refundsDecay has a book whose numbers are far below zero in its own terms, and are not for
// what service counts by then.
func refundsDecay(t *testing.T, l store.Ledger, clock *Clock) {
	band := counting(0, 1)
	band.LiftsIdle, band.HalfLife = false, time.Second
	a := newParty(t, l, "a", band)
	a.turn(offers(a.offer(1, "waits", 0)))
	a.turn(offers(a.offer(2, "waits", 1)))
	for range 200 { // half-lives
		clock.Advance(time.Second)
		a.turn(nil)
	}
	a.turn(func(s *store.Statement) {
		s.Settlements = []store.Settlement{{Flow: "f", Policy: "fair", Counter: 10, Delta: -3, Weight: 1, Last: 1}}
	})
	if r := a.turn(nil); r.Bands[0].Level >= 0 {
		t.Errorf("the level is %g after a refund of 3, want less than 0", r.Bands[0].Level)
	}
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
			for _, m := range a.turn(edit).Messages {
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
