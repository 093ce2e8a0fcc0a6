package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

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
	want(t, "b after it: a's slot still counts", b.grants(), "")
	b.turn(ended("a", 1))
	want(t, "a's process has ended: its slot is free, its offer gone", b.grants(), "g/1")
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
	b.turn(ended("a", 1))
	b.turn(offers(b.offer(1, "f", 0)))
	b.finish(1)
	b.turn(nil)
	want(t, "b", b.grants(), "f/1")
	reply := b.turn(offers(b.offer(2, "f", 1)))
	if len(reply.Messages) != 1 || reply.Messages[0].Counter != 2 {
		t.Errorf("after two charges that were read: %+v, want counter 2", reply.Messages)
	}
}

// Sums round by their order, and two ledgers that are told the same history are to
// say the same.
func givenBackInOrder(t *testing.T, l store.Ledger, clock *Clock) {
	charges := map[string]float64{"a": 0.1, "b": 0.2, "c": 0.3}
	var counter float64
	for _, id := range []string{"c", "a", "b"} {
		p := newParty(t, l, id, counting(0, 4))
		p.turn(nil)
		offer := p.offer(1, "f", 0)
		offer.Charge = charges[id]
		counter += offer.Charge
		p.unheard(offers(offer))
	}
	d := newParty(t, l, "d", counting(0, 4))
	clock.Advance(Lease / 2)
	d.turn(nil)
	clock.Advance(Lease/2 + time.Millisecond)
	offer := d.offer(1, "f", 0)
	offer.Charge = 1.0 / (1 << 60)
	reply := d.turn(offers(offer))
	for _, id := range []string{"a", "b", "c"} {
		counter -= charges[id]
	}
	counter += offer.Charge
	if len(reply.Messages) != 1 || reply.Messages[0].Counter != counter {
		t.Errorf("messages %+v, want counter %g: what a, b and c were charged goes back in the order of their ids", reply.Messages, counter)
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
	want(t, "its slot still counts: it may only have stopped", a.grants(), "")
	a.turn(ended("c", 1))
	want(t, "its slot is free", a.grants(), "g/1")
}

func ingressWithoutLease(t *testing.T, l store.Ledger, _ *Clock) {
	a, gone := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "gone", counting(0, 1))
	r := a.turn(offers(gone.offer(1, "f", 0), a.offer(2, "f", 1)))
	want(t, "the next in line is granted", a.grants(), "f/2")
	dropped := 0
	for _, m := range r.Messages {
		if m.Kind == store.Dropped && m.Ticket == gone.ticket(1) {
			dropped++
		}
	}
	if dropped != 1 {
		t.Errorf("messages to the owner: %+v, want one dropped", r.Messages)
	}
	if r := a.turn(nil); r.Status != store.OK {
		t.Errorf("status %v", r.Status)
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
