package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// ended is an edit that states that the process of a run has ended.
func ended(replica string, incarnation uint64) func(*store.Statement) {
	return func(s *store.Statement) { s.Ended = []store.Run{{Replica: replica, Incarnation: incarnation}} }
}

// loseA has a be lost with one request in flight, and a grant that it has not read: the
// pool of two is full. b waits.
func loseA(t *testing.T, l store.Ledger, clock *Clock) (a, b *party) {
	t.Helper()
	a, b = newParty(t, l, "a", counting(0, 2)), newParty(t, l, "b", counting(0, 2))
	a.turn(nil)
	b.turn(nil)
	a.turn(offers(a.offer(1, "f", 0)))
	a.unheard(offers(a.offer(2, "f", 1)))
	clock.Advance(Lease / 2)
	b.turn(nil)
	clock.Advance(Lease/2 + time.Millisecond)
	r := b.turn(offers(b.offer(1, "g", 0), b.offer(2, "g", 1)))
	want(t, "the pool is full of what a holds", b.grants(), "")
	if r.InFlight != 2 || r.Members != 1 {
		t.Errorf("%d in flight and %d members, want 2 and 1", r.InFlight, r.Members)
	}
	if lost := []store.Lost{{Replica: "a", Held: 2, For: KeepLost}}; !slices.Equal(r.Lost, lost) {
		t.Errorf("lost: %+v, want %+v", r.Lost, lost)
	}
	return a, b
}

func lostComesBack(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := loseA(t, l, clock)
	if r := a.turn(nil); r.Status != store.Register {
		t.Fatalf("status %v, want register", r.Status)
	}
	b.turn(nil)
	want(t, "before a has said what it has", b.grants(), "")
	if r := a.turn(nil); len(r.Lost) > 0 {
		t.Errorf("lost: %+v, although it is back", r.Lost)
	}
	b.turn(nil)
	want(t, "a has one, and never read the other", b.grants(), "g/1")
	a.finish(1)
	a.turn(nil)
	b.turn(nil)
	want(t, "a has none", b.grants(), "g/2")
}

func lostEnded(t *testing.T, l store.Ledger, clock *Clock) {
	_, b := loseA(t, l, clock)
	b.turn(ended("a", 0))
	want(t, "an earlier run's process has ended", b.grants(), "")
	if r := b.turn(ended("a", 1)); len(r.Lost) > 0 || r.InFlight != 2 {
		t.Errorf("lost: %+v, %d in flight, want nobody and b's 2", r.Lost, r.InFlight)
	}
	want(t, "its process has ended", b.grants(), "g/1 g/2")
}

func lostLongest(t *testing.T, l store.Ledger, clock *Clock) {
	const longest = 4 * time.Second
	takes := func(d time.Duration) func(*store.Statement) {
		return func(s *store.Statement) { s.Longest = d }
	}
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	a.turn(nil)
	b.turn(takes(longest))
	a.turn(offers(a.offer(1, "f", 0)))
	a.turn(takes(time.Second)) // it reads the grant
	pass := func(d time.Duration) {
		for ; d > 0; d -= Lease / 3 { // b keeps its lease
			clock.Advance(min(d, Lease/3))
			b.turn(takes(0))
		}
	}
	b.turn(takes(longest))
	clock.Advance(Lease / 2)
	b.turn(func(s *store.Statement) { s.Longest, s.Offers = longest, []store.Offer{b.offer(1, "g", 0)} })
	clock.Advance(Lease/2 + time.Millisecond)
	b.turn(takes(0))
	pass(store.LostFactor*longest - time.Millisecond)
	want(t, "while a's request may run", b.grants(), "")
	pass(time.Millisecond)
	want(t, "it has taken twice as long as any", b.grants(), "g/1")
}

// lostBeforeAnyEnded: none of a's requests has ended, which may take longer than b's.
func lostBeforeAnyEnded(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	short := func(s *store.Statement) { s.Longest = time.Second }
	a.turn(nil)
	b.turn(short)
	a.turn(offers(a.offer(1, "f", 0)))
	a.turn(nil) // it reads the grant
	clock.Advance(Lease / 2)
	b.turn(short)
	clock.Advance(Lease/2 + time.Millisecond)
	r := b.turn(short)
	if lost := []store.Lost{{Replica: "a", Held: 1, For: KeepLost}}; !slices.Equal(r.Lost, lost) {
		t.Errorf("lost: %+v, want %+v", r.Lost, lost)
	}
}

func lostInNewGeneration(t *testing.T, l store.Ledger, clock *Clock) {
	_, b := loseA(t, l, clock)
	b.answered, b.number = b.number+7, b.number+7 // as if the ledger had forgotten turns
	if r := b.turn(nil); r.Status != store.Register {
		t.Fatalf("status %v, want register", r.Status)
	}
	b.turn(offers(b.offer(1, "g", 0)))
	clock.Advance(Recovery + time.Millisecond)
	b.turn(nil)
	want(t, "in a new generation", b.grants(), "")
	b.turn(ended("a", 1))
	want(t, "its process has ended", b.grants(), "g/1")
}

// lostFloatInNewGeneration: until it hears of the new generation, a replica lets requests go
// by float that it was given before, and these take as long as any.
func lostFloatInNewGeneration(t *testing.T, l store.Ledger, clock *Clock) {
	const longest = 100 * time.Millisecond
	a, b := newPair(t, l, 4)
	takes := func(s *store.Statement) { s.Longest = longest }
	a.turn(takes)
	b.turn(takes)
	a.turn(func(s *store.Statement) { s.Longest, s.WantFloat = longest, 2 })
	b.answered, b.number = b.number+7, b.number+7 // as if the ledger had forgotten turns
	b.turn(takes)
	clock.Advance(Recovery - time.Millisecond)
	r := b.turn(takes)
	if lost := []store.Lost{{Replica: "a", Held: 2, For: store.LostFactor*longest + time.Millisecond}}; !slices.Equal(r.Lost, lost) {
		t.Errorf("lost: %+v, want %+v", r.Lost, lost)
	}
}

func lostElsewhere(t *testing.T, l store.Ledger, clock *Clock) {
	const x, y = "10.0.0.1:80", "10.0.0.2:80"
	a, b := newParty(t, l, "a", counting(0, 9)), newParty(t, l, "b", counting(0, 9))
	own := func(s *store.Statement) {
		s.Limited = []store.Limited{{Flow: "f", MaxInFlight: 2, InFlight: 1}}
		s.Loads = []store.Load{{Endpoint: x, InFlight: 1, Tokens: 7}, {Endpoint: y}}
	}
	a.bands[0].InFlight = 1
	a.turn(own)
	b.turn(nil)
	clock.Advance(Lease / 2)
	b.turn(nil)
	clock.Advance(Lease/2 + time.Millisecond)
	look := func(edit func(*store.Statement)) *store.Reply {
		return b.turn(func(s *store.Statement) {
			s.WantLoads, s.Limited = true, []store.Limited{{Flow: "f", MaxInFlight: 2}}
			edit(s)
		})
	}
	if r := look(func(*store.Statement) {}); len(r.Loads) > 0 {
		t.Errorf("loads %+v at endpoints that nobody has", r.Loads)
	}
	clock.Advance(2 * time.Second) // whatever is added up anew is
	for _, c := range []struct {
		what  string
		edit  func(*store.Statement)
		room  int64
		loads []store.Load
	}{
		{"b has the endpoints, too", func(s *store.Statement) { s.Loads = []store.Load{{Endpoint: x}, {Endpoint: y}} }, 1, []store.Load{{Endpoint: y}, {Endpoint: x, InFlight: 1, Tokens: 7}}},
		{"a's process has ended", ended("a", 1), 2, []store.Load{{Endpoint: x}, {Endpoint: y}}},
	} {
		r := look(c.edit)
		if r.Rooms[0].InFlight != c.room {
			t.Errorf("%s: room for %d of the flow, want %d", c.what, r.Rooms[0].InFlight, c.room)
		}
		if !slices.Equal(r.Loads, c.loads) {
			t.Errorf("%s: loads %+v, want %+v", c.what, r.Loads, c.loads)
		}
	}
}

func lostSuperseded(t *testing.T, l store.Ledger, clock *Clock) {
	early := newParty(t, l, "a", counting(0, 2))
	a, b := newParty(t, l, "a", counting(0, 2)), newParty(t, l, "b", counting(0, 2))
	a.inc, a.bands[0].InFlight = 2, 1
	a.turn(nil)
	clock.Advance(Lease + time.Millisecond)
	b.turn(nil)
	if _, err := l.Turn(context.Background(), early.statement(nil)); !errors.Is(err, store.ErrSuperseded) {
		t.Errorf("an earlier run gets %v, want ErrSuperseded", err)
	}
	later := newParty(t, l, "a", counting(0, 2))
	later.inc = 3
	if r := later.turn(nil); r.InFlight != 0 || len(r.Lost) > 0 {
		t.Errorf("%d in flight, lost %+v after a later run registered, want none", r.InFlight, r.Lost)
	}
}
