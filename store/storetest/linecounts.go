package storetest

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// lineCountsWhatIsUnread: who a free slot is for stands in line no more, read or not, here and in the fleet;
// and the next slot is for another line.
func lineCountsWhatIsUnread(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 2)
	a.turn(nil)
	b.turn(nil)
	a.fill(2, 2, "f", a.wantsLine(2))
	want(t, "at a", a.inLine(), "f/3 f/4")
	a.finish(1)
	a.unheard(a.wantsLine(2))
	if r := b.turn(nil); r.InFlight != 2 || r.InLine != 1 {
		t.Errorf("%d in flight and %d in line, want 2 and 1", r.InFlight, r.InLine)
	}
	if r := a.turn(a.wantsLine(2)); r.InFlight != 2 || r.InLine != 1 {
		t.Errorf("stated again: %d in flight and %d in line, want 2 and 1", r.InFlight, r.InLine)
	}
	want(t, "a reads it", a.grants(), "f/1 f/2 f/3")
}

// freeSlotsGoToAsManyAsStandThere: two slots that are free at once are for two lines of one each.
func freeSlotsGoToAsManyAsStandThere(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 4)
	a.turn(nil)
	b.fill(2, 0, "g", b.wantsLine(1))
	a.fill(2, 1, "f", a.wantsLine(1))
	b.turn(func(s *store.Statement) {
		b.wantsLine(1)(s)
		s.Offers = []store.Offer{b.offer(3, "g", 2)}
	})
	want(t, "in line", a.inLine()+", "+b.inLine(), "f/3, g/3")
	a.finish(2)
	a.grants()
	b.grants()
	a.turn(a.wantsLine(1))
	b.turn(b.wantsLine(1))
	want(t, "both go", a.grants()+", "+b.grants(), "f/3, g/3")
}

// lineEndsAtTwiceItsUse: nobody is put in line where twice as many stand as there is use for, though others
// have use for more.
func lineEndsAtTwiceItsUse(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 2)
	b.turn(b.wantsLine(6))
	a.fill(2, 4, "f", a.wantsLine(1))
	want(t, "at a", a.inLine(), "f/3 f/4")
}

// lineGoesBackWhenTheLimitFalls: what ends makes no room then, so nobody has the use of it.
func lineGoesBackWhenTheLimitFalls(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 2)
	a.turn(nil)
	b.turn(nil)
	a.fill(2, 1, "f", a.wantsLine(1))
	want(t, "at a", a.inLine(), "f/3")
	b.bands[0].Limit = 1
	b.turn(nil)
	if r := a.turn(a.wantsLine(1)); !r.LineRecalled {
		t.Error("the line is not called back")
	}
	a.line = nil
	a.turn(func(s *store.Statement) {
		s.Offers, s.WantLine = []store.Offer{a.offer(3, "f", 2)}, 1
	})
	want(t, "nor is there another", a.inLine(), "")
}

// lineIsOfOneBand: while tickets of one band stand in line, none of another does: those that go from it
// count in that band.
func lineIsOfOneBand(t *testing.T, l store.Ledger, clock *Clock) {
	a := newParty(t, l, "a", counting(5, 1), counting(0, 1))
	a.bands[0].Wanted = 2 // more than the pool takes
	a.turn(nil)
	a.fill(1, 1, "f", a.wantsLine(2))
	want(t, "at a", a.inLine(), "f/2")
	clock.Advance(time.Second + time.Millisecond)
	a.turn(func(s *store.Statement) {
		a.wantsLine(2)(s)
		o := a.offer(3, "low", 0)
		o.Priority = 0
		s.Offers = []store.Offer{o}
	})
	want(t, "only that", a.inLine(), "f/2")
}

// noLineBeforeFloors: a group that is guaranteed something goes before a line, as a band does, and while it
// has anything in flight there is no new one.
func noLineBeforeFloors(t *testing.T, l store.Ledger, _ *Clock) {
	f := newFloors(t, l, 2, map[string]float64{"x": 0.5}, "x=1")
	line := func(s *store.Statement) { f.wantsLine(2)(s) }
	f.state(line, f.low(10, ":flood", 3))
	want(t, "while nothing of it is there", f.inLine(), "flood/3")
	if r := f.state(line, f.low(0, "x:low", 1)); !r.LineRecalled {
		t.Error("something of it waits, and the line is not called back")
	}
	f.line = nil
	f.end(10, "flood")
	f.state(line)
	want(t, "it is due", fmt.Sprint(f.holds["low"]), "1")
	f.state(line, f.low(10, ":flood", 1))
	want(t, "while it has a slot", f.inLine(), "")
}

// lineGoesByTheGuarantee: a slot that a band gets in its line, and that was due to it, counts for its guarantee,
// while others wait.
func lineGoesByTheGuarantee(t *testing.T, l store.Ledger, clock *Clock) {
	a := newParty(t, l, "a", guaranteed(0, 2, 0.5), counting(-1, 0))
	a.turn(nil)
	a.fill(2, 1, "f", a.wantsLine(1))
	want(t, "at a", a.inLine(), "f/3")
	a.turn(func(s *store.Statement) {
		a.wantsLine(1)(s)
		o := a.offer(9, "shut", 0)
		o.Priority = -1
		s.Offers = append(s.Offers, o)
	})
	a.finish(2)
	a.turn(a.wantsLine(1)) // one slot goes to the line, and nobody waits for the other
	want(t, "the line's", a.grants(), "f/1 f/2 f/3")
	clock.Advance(100 * time.Millisecond)
	if owed := a.turn(a.wantsLine(1)).Bands[0].Owed; math.Abs(owed+0.05) > 1e-9 {
		t.Errorf("after 100 ms of the slot of which half is its own it is owed %g slot-seconds, want -0.05", owed)
	}
}

// freeSlotGoesToTheLongestForTheUsual: where both replicas have what they usually have, the longer line for
// that gets the slot, though its replica has more slots.
func freeSlotGoesToTheLongestForTheUsual(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newUsual(t, l, 8, 5, 3, 3, 2)
	b.turn(func(s *store.Statement) {
		b.wantsLine(2)(s)
		s.Offers = []store.Offer{b.offer(4, "g", 3)}
	})
	a.turn(func(s *store.Statement) {
		a.wantsLine(3)(s)
		for n := range 4 {
			s.Offers = append(s.Offers, a.offer(6+n, "f", 5))
		}
	})
	want(t, "in line", a.inLine()+", "+b.inLine(), "f/6 f/7 f/8 f/9, g/4")
	a.finish(1)
	a.turn(a.wantsLine(3))
	b.turn(b.wantsLine(2))
	want(t, "a's line is the longer for its slots", a.grants()+", "+b.grants(), "f/6, ")
}

// fewLinesGoByTheSlotsNow: where replicas have use for two tickets each or fewer, a slot is for the longest
// line for the slots that there are now, usual or not.
func fewLinesGoByTheSlotsNow(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newUsual(t, l, 4, 3, 1, 2, 2)
	a.finish(2)
	a.turn(a.wantsLine(2))
	b.turn(func(s *store.Statement) {
		b.wantsLine(2)(s)
		for n := range 5 {
			s.Offers = append(s.Offers, b.offer(2+n, "g", 1))
		}
	})
	a.turn(func(s *store.Statement) {
		a.wantsLine(2)(s)
		s.Offers = []store.Offer{a.offer(4, "f", 3)}
	})
	want(t, "in line", a.inLine()+", "+b.inLine(), "f/4, g/4 g/5 g/6")
	a.grants()
	b.grants()
	b.finish(1)
	b.turn(b.wantsLine(2))
	a.turn(a.wantsLine(2))
	want(t, "b's line is the longer for its slots", a.grants()+", "+b.grants(), ", g/4")
}
