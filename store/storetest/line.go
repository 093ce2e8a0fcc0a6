package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// wantsLine is an edit that states what stands in line, and for how much there is use.
func (p *party) wantsLine(n int64) func(*store.Statement) {
	return func(s *store.Statement) { s.InLine, s.WantLine = int64(len(p.line)), n }
}

// inLine returns who stands in line at the party, the first first.
func (p *party) inLine() (who string) {
	for i, ticket := range p.line {
		if i > 0 {
			who += " "
		}
		who += ticket
	}
	return who
}

// goOn has the first in line at the party go in the slot of a request that ended.
func (p *party) goOn() { p.line = p.line[1:] }

// fill has the party fill a pool with requests of a flow, and offer more of it.
func (p *party) fill(limit, more int, flow string, edit func(*store.Statement)) *store.Reply {
	return p.turn(func(s *store.Statement) {
		for n := range limit + more {
			s.Offers = append(s.Offers, p.offer(n+1, flow, 0))
		}
		edit(s)
	})
}

// lineIsNextInOrder: at a full pool, what is next stands in line, in order and charged, as
// many as there is use for and twice as many of one ingress at most, and holds no slot.
func lineIsNextInOrder(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 2)
	a.turn(nil)
	b.turn(nil)
	r := a.fill(2, 2, "f", a.wantsLine(3))
	want(t, "a", a.grants(), "f/1 f/2")
	want(t, "at a", a.inLine(), "f/3 f/4")
	if r.InFlight != 2 || r.Bands[0].InFlight != 2 || r.InLine != 2 {
		t.Errorf("%d in flight, %d in the band, %d in line, want 2, 2 and 2", r.InFlight, r.Bands[0].InFlight, r.InLine)
	}
	r = b.turn(func(s *store.Statement) {
		b.wantsLine(1)(s)
		s.Offers = []store.Offer{b.offer(1, "g", 4), b.offer(2, "g", 4), b.offer(3, "g", 4)}
	})
	want(t, "at b", b.inLine(), "g/1 g/2")
	if r.InLine != 4 {
		t.Errorf("%d in line in the fleet, want 4", r.InLine)
	}
	if v := r.Bands[0].VirtualTime; v != 5 {
		t.Errorf("V is %v, want 5: who stands in line is charged as if granted", v)
	}
	a.goOn() // in the slot of a request that ended
	r = a.turn(a.wantsLine(3))
	if r.InFlight != 2 {
		t.Errorf("%d in flight, want 2", r.InFlight)
	}
	want(t, "nothing more is granted", a.grants()+b.grants(), "")
}

// lineStopsAtWhoHasNoUse: who is next stays next: nobody is put in line before.
func lineStopsAtWhoHasNoUse(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 1)
	a.turn(nil)
	b.turn(nil)
	a.fill(1, 1, "f", a.wantsLine(0))
	want(t, "a", a.grants(), "f/1")
	b.turn(func(s *store.Statement) {
		b.wantsLine(5)(s)
		s.Offers = []store.Offer{b.offer(1, "g", 7)}
	})
	want(t, "f/2 is before it", b.inLine(), "")
	a.finish(1)
	a.turn(nil)
	want(t, "and goes first", a.grants(), "f/2")
	b.turn(b.wantsLine(5))
	want(t, "now b's is next", b.inLine(), "g/1")
}

// noLineWhileHigherOnesCome: what a higher band offers that wants much calls the line back, at
// once and again, and there is none for a second after the last.
func noLineWhileHigherOnesCome(t *testing.T, l store.Ledger, clock *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a := newParty(t, l, "a", counting(5, 1), counting(0, 1))
	b := newParty(t, l, "b", counting(5, 1), counting(0, 1))
	b.turn(nil)
	a.turn(nil)
	low := func(n int) store.Offer {
		o := a.offer(n, "f", 0)
		o.Priority = 0
		return o
	}
	line := func() *store.Reply { return a.turn(a.wantsLine(2)) }
	a.turn(func(s *store.Statement) {
		a.wantsLine(1)(s)
		s.Offers = []store.Offer{low(1), low(2), low(3)}
	})
	want(t, "at a", a.inLine(), "f/2")
	wakeups := l.Wakeups(ctx, "a")
	b.bands[0].Wanted = 2 // more than the pool takes
	b.turn(offers(b.offer(1, "urgent", 0)))
	for range 2 {
		select {
		case w := <-wakeups:
			if !w.Recall {
				t.Errorf("woken by %+v, want a recall", w)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nobody is woken")
		}
		clock.Advance(26 * time.Millisecond)
		b.turn(nil)
	}
	if r := line(); !r.LineRecalled {
		t.Error("the reply does not call the line back")
	}
	a.line = nil
	r := a.turn(func(s *store.Statement) { // it is queued again, its charge returned
		s.Offers = []store.Offer{low(2)}
		s.Settlements = []store.Settlement{{Flow: "f", Priority: 0, Policy: "fair", Delta: -1}}
		s.WantLine = 2
	})
	if r.LineRecalled || len(a.line) > 0 {
		t.Errorf("recalled %v, in line %v while urgent waits", r.LineRecalled, a.line)
	}
	a.bands[1].InFlight = 0
	a.turn(nil)
	b.bands[0].Wanted = 0
	b.turn(nil)
	want(t, "b", b.grants(), "urgent/1")
	line()
	want(t, "one came lately", a.inLine(), "")
	clock.Advance(time.Second)
	line()
	want(t, "none did for a second", a.inLine(), "f/2 f/3")
}

// noLineBeforeTheGuaranteed: what is guaranteed something goes before the line as well.
func noLineBeforeTheGuaranteed(t *testing.T, l store.Ledger, clock *Clock) {
	low := counting(-1, 4)
	low.Guaranteed = 1
	a := newParty(t, l, "a", counting(0, 4), low)
	a.turn(nil)
	a.turn(func(s *store.Statement) {
		for n := range 6 {
			s.Offers = append(s.Offers, a.offer(n+1, "f", 0))
		}
		s.WantLine = 1
	})
	want(t, "a", a.grants(), "f/1 f/2 f/3 f/4")
	want(t, "at a", a.inLine(), "f/5")
	guaranteed := a.offer(7, "low", 0)
	guaranteed.Priority = -1
	r := a.turn(func(s *store.Statement) {
		a.wantsLine(2)(s)
		s.Offers = []store.Offer{guaranteed}
	})
	if !r.LineRecalled {
		t.Error("the line is not called back for what is guaranteed")
	}
	a.bands[0].InFlight--
	clock.Advance(2 * time.Second)
	a.turn(a.wantsLine(2))
	want(t, "it is due", a.grants(), "low/7")
}

// lineGoesBackWithItsReplica: what a replica never read of its line is charged to nobody, and
// nothing of it is held.
func lineGoesBackWithItsReplica(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newPair(t, l, 1)
	a.turn(nil)
	b.turn(nil)
	a.turn(func(s *store.Statement) {
		s.Offers, s.WantLine = []store.Offer{a.offer(1, "f", 0)}, 2
	})
	b.turn(func(s *store.Statement) { // a's ticket, which b owns
		o := a.offer(2, "g", 3)
		s.Offers = []store.Offer{o}
	})
	clock.Advance(Lease - time.Millisecond)
	b.turn(nil)
	clock.Advance(2 * time.Millisecond)
	r := b.turn(offers(b.offer(1, "g", 3)))
	if len(r.Lost) != 1 || r.Lost[0].Held != 1 {
		t.Fatalf("lost: %+v, want a with 1", r.Lost)
	}
	b.bands[0].Limit = 2
	r = b.turn(nil)
	want(t, "b", b.grants(), "g/1")
	if counter := r.Messages[len(r.Messages)-1].Counter; counter != 4 {
		t.Errorf("g's counter is %v after a grant, want 4: its place in line was given back", counter)
	}
}

// lineComesBackBeforeItsOwnerHears: who stood in line may be offered again by its ingress once
// that has read so, whether the owner has heard that it was taken or not.
func lineComesBackBeforeItsOwnerHears(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 1)
	a.turn(nil)
	b.turn(nil)
	a.turn(func(s *store.Statement) {
		s.Offers, s.WantLine = []store.Offer{a.offer(1, "f", 0)}, 2
	})
	b.turn(offers(a.offer(2, "g", 3)))
	r := a.turn(offers(a.offer(2, "g", 3)))
	want(t, "at a", a.inLine(), "g/2")
	if kind := r.Messages[len(r.Messages)-1].Kind; kind != store.Taken {
		t.Errorf("a offers it before it has read that it is in line, and reads %v, want that it was taken", kind)
	}
	a.line = nil
	a.turn(func(s *store.Statement) {
		s.Offers = []store.Offer{a.offer(2, "g", 4)}
		s.Settlements = []store.Settlement{{Flow: "g", Policy: "fair", Delta: -1}}
	})
	a.finish(1)
	a.turn(nil)
	want(t, "when a request ends", a.grants(), "f/1 g/2")
	b.turn(nil)
	b.turn(nil)
	a.finish(1)
	a.turn(offers(a.offer(3, "f", 5)))
	want(t, "after b has heard", a.grants(), "f/3")
}

// noLineWithoutCounting: where the ledger does not count the service or the flow's requests,
// there is no line.
func noLineWithoutCounting(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", store.Band{Policy: "strict", Limit: 1})
	a.turn(nil)
	a.fill(1, 2, "f", a.wantsLine(2))
	want(t, "ranks", a.inLine(), "")
	b := newParty(t, l, "b", counting(0, 1))
	a.turn(func(s *store.Statement) { s.Leave = true })
	b.turn(nil)
	b.fill(1, 2, "limited", func(s *store.Statement) {
		b.wantsLine(2)(s)
		s.Limited = []store.Limited{{Flow: "limited", MaxInFlight: 5}}
	})
	want(t, "b", b.grants(), "limited/1")
	want(t, "limits of its own", b.inLine(), "")
	b.turn(func(s *store.Statement) {
		b.wantsLine(2)(s)
		s.Groups = []store.Group{{Path: "team"}}
		s.Limited = []store.Limited{{Group: "team", MaxInFlight: 5}}
		s.Withdrawn = []policies.TicketID{b.offer(2, "limited", 0).Ticket, b.offer(3, "limited", 0).Ticket}
		o := b.offer(4, "f", 0)
		o.Group = "team"
		s.Offers = []store.Offer{o}
	})
	want(t, "a group with a maximum", b.inLine(), "")
}

// lineSurvivesLostReplies: what stands in line is stated absolutely, and unread places
// count.
func lineSurvivesLostReplies(t *testing.T, l store.Ledger, _ *Clock) {
	a, _ := newPair(t, l, 1)
	a.members = 1
	a.turn(nil)
	lost := a.statement(func(s *store.Statement) {
		for n := range 4 {
			s.Offers = append(s.Offers, a.offer(n+1, "f", 0))
		}
		s.WantLine = 1
	})
	for range 2 { // and comes twice
		if _, err := l.Turn(context.Background(), lost); err != nil {
			t.Fatal(err)
		}
	}
	a.turn(func(s *store.Statement) { s.WantLine = 1 })
	want(t, "granted once", a.grants(), "f/1")
	want(t, "in line once", a.inLine(), "f/2")
	a.turn(a.wantsLine(1))
	want(t, "it stands there", a.inLine(), "f/2")
	a.goOn()
	a.turn(a.wantsLine(1))
	want(t, "the next", a.inLine(), "f/3")
}

// lineGoesWhereThereIsRoom: who stands in line where no endpoint has room gets no free slot,
// and holds up nobody elsewhere.
func lineGoesWhereThereIsRoom(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newReaching(t, l)
	a.turn(ofCapacity(2, func(s *store.Statement) { s.Offers = a.many("f", 1, 2) }))
	b.turn(ofCapacity(5, func(s *store.Statement) { s.Offers = b.many("g", 1, 3) }))
	a.turn(ofCapacity(2, func(s *store.Statement) { s.Loads = takes("x", 2, 2) }))
	b.turn(ofCapacity(5, func(s *store.Statement) { s.Loads = takes("y", 3, 3) }))
	want(t, "all", a.grants()+", "+b.grants(), "f/1 f/2, g/1 g/2 g/3")
	a.turn(ofCapacity(2, func(s *store.Statement) {
		a.wantsLine(1)(s)
		s.Offers = a.many("f", 3, 3)
	}))
	want(t, "at a", a.inLine(), "f/3")
	b.finish(1)
	r := b.turn(ofCapacity(5, func(s *store.Statement) {
		s.Loads, s.Offers = takes("y", 2, 3), b.many("g", 4, 4)
	}))
	want(t, "a slot at y is b's", b.grants(), "g/4")
	want(t, "there", suggested(r), "y=2")
	a.finish(1)
	r = a.turn(ofCapacity(2, func(s *store.Statement) {
		a.wantsLine(1)(s)
		s.Loads = takes("x", 1, 2)
	}))
	want(t, "one at x is for the line", a.grants(), "f/3")
	want(t, "there", suggested(r), "x=1")
}

// noLineUnderALowerLimit: what ends is not for a band whose limit is lower than another's.
func noLineUnderALowerLimit(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(5, 3), counting(0, 2))
	a.turn(nil)
	a.turn(func(s *store.Statement) {
		a.wantsLine(2)(s)
		for n := range 4 {
			o := a.offer(n+1, "f", 0)
			o.Priority = 0
			s.Offers = append(s.Offers, o)
		}
	})
	want(t, "a", a.grants(), "f/1 f/2")
	want(t, "in line", a.inLine(), "")
}
