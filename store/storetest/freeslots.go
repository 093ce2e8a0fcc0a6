package storetest

import (
	"testing"

	"github.com/weirflow/weir/store"
)

// freeSlotIsForTheLine: a slot that is free goes to the line where most stand, before any
// offer, and counts there.
func freeSlotIsForTheLine(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 2)
	a.turn(nil)
	b.turn(nil)
	a.fill(2, 3, "f", a.wantsLine(2))
	want(t, "a", a.grants(), "f/1 f/2")
	want(t, "at a", a.inLine(), "f/3 f/4")
	b.turn(offers(b.offer(1, "g", 0)))
	a.finish(1) // and none went for it
	r := a.turn(func(s *store.Statement) {
		a.wantsLine(2)(s)
		s.Loads = []store.Load{{Endpoint: "x", InFlight: 1}}
	})
	want(t, "the first in line", a.grants(), "f/3")
	if r.InFlight != 2 || len(r.Messages) == 0 || r.Messages[len(r.Messages)-1].Endpoint != "x" {
		t.Errorf("%d in flight, messages %+v, want 2, and to x", r.InFlight, r.Messages)
	}
	r = b.turn(func(s *store.Statement) { s.WantLoads = true })
	want(t, "b waits", b.grants(), "")
	if len(r.Loads) != 1 || r.Loads[0].InFlight != 2 || r.Bands[0].InFlight != 2 {
		t.Errorf("loads %+v and %d in the band, want 2 and 2: what is granted to the line counts", r.Loads, r.Bands[0].InFlight)
	}
}

// freeSlotGoesWhereSlotsAreFew: of two lines as long, the one of the replica that has fewer
// slots gets the one that is free, wherever it became free.
func freeSlotGoesWhereSlotsAreFew(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 4)
	a.turn(nil)
	b.fill(1, 0, "g", b.wantsLine(0))
	want(t, "b", b.grants(), "g/1")
	a.fill(3, 2, "f", a.wantsLine(2))
	want(t, "a", a.grants(), "f/1 f/2 f/3")
	want(t, "at a", a.inLine(), "f/4 f/5")
	b.turn(func(s *store.Statement) {
		b.wantsLine(2)(s)
		s.Offers = []store.Offer{b.offer(2, "g", 1), b.offer(3, "g", 1)}
	})
	want(t, "at b", b.inLine(), "g/2 g/3")
	a.finish(1)
	a.turn(a.wantsLine(2))
	want(t, "a has two slots", a.grants(), "")
	b.turn(b.wantsLine(2))
	want(t, "b has one, and gets another", b.grants(), "g/2")
}

// newUsual is two parties that have had as many slots each for so long that they usually have these, with so
// many tickets in line wanted at each.
func newUsual(t *testing.T, l store.Ledger, limit int64, inA, inB int, lineA, lineB int64) (a, b *party) {
	t.Helper()
	a, b = newPair(t, l, limit)
	a.turn(nil)
	b.fill(inB, 0, "g", b.wantsLine(lineB))
	a.fill(inA, 0, "f", a.wantsLine(lineA))
	for range 40 {
		b.turn(b.wantsLine(lineB))
		a.turn(a.wantsLine(lineA))
	}
	a.grants()
	b.grants()
	return a, b
}

// freeSlotGoesWhereItIsUsual: of two lines, the shorter one gets the slot that is free where its replica
// has fewer slots than it usually has, and the other more: that one's line is served soon.
func freeSlotGoesWhereItIsUsual(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newUsual(t, l, 8, 3, 5, 2, 3)
	b.finish(3)
	b.turn(b.wantsLine(3))
	a.turn(func(s *store.Statement) {
		a.wantsLine(2)(s)
		for n := range 7 {
			s.Offers = append(s.Offers, a.offer(4+n, "f", 3))
		}
	})
	want(t, "a has what b usually has", a.grants(), "f/4 f/5 f/6")
	want(t, "at a", a.inLine(), "f/7 f/8 f/9 f/10")
	b.turn(func(s *store.Statement) {
		b.wantsLine(3)(s)
		s.Offers = []store.Offer{b.offer(6, "g", 5)}
	})
	want(t, "at b", b.inLine(), "g/6")
	a.finish(1)
	a.turn(a.wantsLine(2))
	want(t, "a has five slots, and usually three", a.grants(), "")
	b.turn(b.wantsLine(3))
	want(t, "b has two, and usually five", b.grants(), "g/6")
}
