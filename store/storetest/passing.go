package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// lineStaysBesideThoseThatPass: a higher band that wants little leaves a line where it is, and more
// stand there meanwhile; it passes, and of those that hold slots beside a line, the one with the
// most gives up as many as wait where none ends. Once it wants more, the line goes back.
func lineStaysBesideThoseThatPass(t *testing.T, l store.Ledger, clock *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var a, b, c *party
	for _, p := range []struct {
		party **party
		id    string
	}{{&a, "a"}, {&b, "b"}, {&c, "c"}} {
		*p.party = newParty(t, l, p.id, counting(0, 5), counting(5, 5))
		(*p.party).members = 3
		(*p.party).turn(nil)
	}
	a.bands[0].Wanted, b.bands[0].Wanted = 6, 3
	b.fill(2, 0, "g", b.wantsLine(1))
	want(t, "b", b.grants(), "g/1 g/2")
	r := a.fill(3, 1, "f", a.wantsLine(1))
	want(t, "a", a.grants(), "f/1 f/2 f/3")
	want(t, "at a", a.inLine(), "f/4")
	if !r.MayPass || r.PassAbove != 0 || r.PassWait || r.PassLately || len(r.Yields) > 0 {
		t.Errorf("%+v, want that those above 0 may pass, and that none came", r)
	}
	b.turn(func(s *store.Statement) {
		b.wantsLine(1)(s)
		s.Offers = []store.Offer{b.offer(3, "g", 4)}
	})
	want(t, "at b", b.inLine(), "g/3")

	wakeups := l.Wakeups(ctx, "a")
	c.bands[1].Queued, c.bands[1].Wanted = 4, 4 // of which two may not go yet
	r = c.turn(func(s *store.Statement) { s.Offers = []store.Offer{urgent(c, 5), urgent(c, 6)} })
	if r.LineRecalled || !r.PassWait || !r.PassLately || len(r.Yields) > 0 {
		t.Errorf("%+v, want that two wait, and that others have slots to give up", r)
	}
	select {
	case w := <-wakeups:
		if !w.Recall {
			t.Errorf("woken by %+v, want a recall", w)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a is not woken")
	}
	if r = b.turn(b.wantsLine(1)); r.LineRecalled || len(r.Yields) > 0 {
		t.Errorf("%+v, want that b's line stays, and that a has more slots to give up", r)
	}
	r = a.turn(func(s *store.Statement) {
		a.wantsLine(2)(s)
		s.Offers = []store.Offer{a.offer(5, "f", 8)}
	})
	if r.LineRecalled || !r.PassWait || !slices.Equal(r.Yields, []store.Yield{{Slots: 2}}) {
		t.Errorf("%+v, want that the line stays, and that two slots are given up", r)
	}
	want(t, "and more stand there", a.inLine(), "f/4 f/5")

	a.bands[0].InFlight -= 1 // one is
	a.turn(a.wantsLine(2))
	want(t, "it is not for the line", a.grants(), "")
	c.turn(nil)
	want(t, "but for who passes", c.grants(), "urgent/5")
	c.bands[1].Queued, c.bands[1].Wanted = 0, 2
	c.turn(nil)
	if r = a.turn(a.wantsLine(2)); len(r.Yields) > 0 {
		t.Errorf("%+v, want that nothing is given up where as many slots are at the ingress", r)
	}
	c.bands[1].Wanted = 1 // the other went in the slot of the first, which ended
	r = c.turn(func(s *store.Statement) {
		s.Withdrawn = []policies.TicketID{c.ticket(6)}
		s.Settlements = []store.Settlement{{Flow: "urgent", Priority: 5, Policy: "fair", Delta: 1, Last: 1}}
	})
	if r.InFlight != 5 || r.PassWait || !r.PassLately || r.Bands[1].VirtualTime != 1 {
		t.Errorf("%+v, want 5 in flight, that none waits, and that what passed is charged", r)
	}
	clock.Advance(time.Second)
	if r = b.turn(b.wantsLine(1)); !r.MayPass || r.PassLately {
		t.Errorf("%+v, want that none came for a second", r)
	}
	c.bands[1].Wanted = 6 // more than the pool takes
	c.turn(func(s *store.Statement) { s.Offers = []store.Offer{urgent(c, 7)} })
	if r = b.turn(b.wantsLine(1)); !r.LineRecalled || !r.MayPass || r.PassAbove != 5 || r.PassWait {
		t.Errorf("%+v, want that the line goes back", r)
	}
}

// urgent is the party's offer at priority 5.
func urgent(p *party, n int) store.Offer {
	o := p.offer(n, "urgent", 0)
	o.Priority = 5
	return o
}

// slotsAreGivenUpWhereTheyAreReached: for what passes and waits at an ingress that reaches some of the
// endpoints, slots are given up there, by those that have the most of them.
func slotsAreGivenUpWhereTheyAreReached(t *testing.T, l store.Ledger, _ *Clock) {
	parties := yielding(t, l)
	a, b, c := parties["h1"], parties["h2"], parties["k"]
	c.bands[1].Wanted = 2
	c.turn(func(s *store.Statement) { s.Offers = []store.Offer{urgent(c, 5), urgent(c, 6)} })
	if r := a.turn(a.wantsLine(1)); !r.PassWait || len(r.Yields) > 0 {
		t.Errorf("%+v, want that b has more to give up at x", r)
	}
	if r := b.turn(b.wantsLine(1)); !slices.Equal(r.Yields, []store.Yield{{Endpoint: "x", Slots: 2}}) {
		t.Errorf("%+v, want that two slots are given up at x", r)
	}
	c.bands[1].Wanted = 3
	c.turn(func(s *store.Statement) { s.Offers = []store.Offer{urgent(c, 7)} })
	if r := a.turn(a.wantsLine(1)); !slices.Equal(r.Yields, []store.Yield{{Endpoint: "x", Slots: 1}}) {
		t.Errorf("%+v, want that the third is given up by a", r)
	}
}

// nonePassWhatIsShared: where a band has a lower limit, shares by weights, or anything is guaranteed
// something, the order is not the bands' alone.
func nonePassWhatIsShared(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 4), counting(5, 4), counting(9, 4))
	passes := func() string {
		r := a.turn(nil)
		if !r.MayPass {
			return "none"
		}
		return fmt.Sprint("above ", r.PassAbove)
	}
	a.turn(nil)
	want(t, "while all want little, nobody needs to pass", passes(), "none")
	a.bands[0].InFlight, a.bands[0].Wanted = 4, 5
	want(t, "beside a full pool", passes(), "above 0")
	a.bands[1].Limit = 3
	want(t, "where a band has a lower limit", passes(), "above 5")
	a.bands[1].Limit, a.bands[1].Wanted = 4, 5
	want(t, "where a band wants much", passes(), "above 5")
	a.bands[1].Wanted, a.bands[1].Guaranteed = 0, 1
	want(t, "where a band is guaranteed something", passes(), "none")
	a.bands[1].Guaranteed, a.bands[2].Weight = 0, 1
	want(t, "where bands share", passes(), "none")
	a.bands[2].Weight, a.bands[0].InFlight = 0, 5
	want(t, "where more is in flight than may be", passes(), "none")
}
