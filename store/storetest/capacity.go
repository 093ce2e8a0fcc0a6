package storetest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// takes lists loads of endpoints that take so many, as endpoint, number and capacity in
// turn.
func takes(loads ...any) (list []store.Load) {
	for i := 0; i < len(loads); i += 3 {
		list = append(list, store.Load{Endpoint: loads[i].(string), InFlight: int64(loads[i+1].(int)), Capacity: int64(loads[i+2].(int))})
	}
	return list
}

// reaching is an edit by which a party states what its endpoints take, and limits that are
// as much.
func reaching(loads []store.Load) func(*store.Statement) {
	return func(s *store.Statement) {
		s.Loads, s.Capacity = loads, 0
		for _, l := range loads {
			s.Capacity += max(0, l.Capacity)
		}
		for i := range s.Bands {
			s.Bands[i].Limit = s.Capacity
		}
	}
}

// newReaching is two parties: a reaches x, which takes two, and b reaches y, too, which
// takes three.
func newReaching(t *testing.T, l store.Ledger) (a, b *party) {
	t.Helper()
	a, b = newPair(t, l, 2)
	b.bands[0].Limit = 5
	a.turn(reaching(takes("x", 0, 2)))
	b.turn(reaching(takes("x", 0, 2, "y", 0, 3)))
	return a, b
}

// ofCapacity is an edit that says of which capacity the party's limits are parts.
func ofCapacity(n int64, edits ...func(*store.Statement)) func(*store.Statement) {
	return func(s *store.Statement) {
		s.Capacity = n
		for _, edit := range edits {
			edit(s)
		}
	}
}

// many is offers of a flow's tickets of those numbers.
func (p *party) many(flow string, from, to int) (list []store.Offer) {
	for n := from; n <= to; n++ {
		list = append(list, p.offer(n, flow, 0))
	}
	return list
}

// reachBoundsOneself: a replica that reaches one endpoint of two has requests there and
// leaves the rest to others, which get all of it.
func reachBoundsOneself(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newReaching(t, l)
	r := a.turn(ofCapacity(2, offers(a.many("f", 1, 4)...)))
	want(t, "a is granted", a.grants(), "f/1 f/2")
	want(t, "where it reaches", suggested(r), "x=0 x=1")
	if r.Capacity != 5 || r.Bands[0].Limit != 5 || len(r.Short) != 1 || r.Short[0] != "a" {
		t.Errorf("capacity %d, limit %d, short %v; want 5, 5, [a]", r.Capacity, r.Bands[0].Limit, r.Short)
	}
	r = b.turn(ofCapacity(5, offers(b.many("g", 1, 4)...)))
	want(t, "b is granted what is left", b.grants(), "g/1 g/2 g/3")
	want(t, "at y", suggested(r), "y=0 y=1 y=2")
	b.finish(1)
	b.turn(func(s *store.Statement) { s.Capacity, s.Loads = 5, takes("y", 2, 3) })
	want(t, "y has room, and a does not reach it", b.grants(), "g/4")
	want(t, "a", a.grants(), "")
	a.finish(1)
	r = a.turn(func(s *store.Statement) { s.Capacity, s.Loads = 2, takes("x", 1, 2) })
	want(t, "x has room", a.grants(), "f/3")
	want(t, "at x", suggested(r), "x=1")
	clock.Advance(store.ShortFor)
	if r = b.turn(ofCapacity(5)); len(r.Short) != 0 {
		t.Errorf("a second later %v are short: the pool is full", r.Short)
	}
}

// withoutEndpoints: a replica that lists no endpoint where others do is granted nothing, and
// takes nothing from them; its offers stand for when it lists one.
func withoutEndpoints(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newReaching(t, l)
	r := a.turn(func(s *store.Statement) {
		s.Loads = []store.Load{{Endpoint: "x", InFlight: store.Gone}}
		s.Bands[0].Limit = store.NoOpinion
		s.Offers = a.many("f", 1, 9)
	})
	want(t, "a, which reaches nothing, is granted", a.grants(), "")
	if len(r.Short) != 1 || r.Short[0] != "a" {
		t.Errorf("short are %v; want [a]", r.Short)
	}
	b.turn(ofCapacity(5, offers(b.many("g", 1, 6)...)))
	want(t, "b is granted all", b.grants(), "g/1 g/2 g/3 g/4 g/5")
	b.finish(1)
	b.turn(func(s *store.Statement) { s.Capacity, s.Loads = 5, takes("x", 1, 2, "y", 3, 3) })
	want(t, "and goes on", b.grants(), "g/6")
	b.finish(1)
	b.turn(func(s *store.Statement) { s.Capacity, s.Loads = 5, takes("x", 0, 2) })
	want(t, "x has room, and a does not reach it", a.grants(), "")
	a.turn(reaching(takes("x", 0, 2)))
	want(t, "a has an endpoint again", a.grants(), "f/1")
}

// passedOverKeepTheirPlace: an offer that is passed over is the next for the first endpoint
// with room that its ingress reaches, as its flow has got less than others.
func passedOverKeepTheirPlace(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newReaching(t, l)
	b.turn(ofCapacity(5, offers(b.many("g", 1, 8)...)))
	want(t, "b has it all", b.grants(), "g/1 g/2 g/3 g/4 g/5")
	a.turn(ofCapacity(2, offers(a.many("f", 1, 2)...)))
	b.finish(1)
	b.turn(func(s *store.Statement) { s.Capacity, s.Loads = 5, takes("y", 2, 3) })
	want(t, "a's is passed over at y", b.grants(), "g/6")
	b.finish(1)
	b.turn(func(s *store.Statement) { s.Capacity, s.Loads = 5, takes("x", 1, 2, "y", 3, 3) })
	want(t, "and goes first at x", b.grants(), "")
	r := a.turn(ofCapacity(2))
	want(t, "a", a.grants(), "f/1")
	want(t, "at x", suggested(r), "x=1")
}

// leastCapacityHolds: what an endpoint takes is the least that those state who send requests
// there, while they do.
func leastCapacityHolds(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newReaching(t, l)
	capacities := func(r *store.Reply) (x, y, sum int64) {
		for _, load := range r.Loads {
			switch load.Endpoint {
			case "x":
				x = load.Capacity
			case "y":
				y = load.Capacity
			}
		}
		return x, y, r.Capacity
	}
	check := func(what string, r *store.Reply, x, y int64) {
		t.Helper()
		gotX, gotY, sum := capacities(r)
		if gotX != x || gotY != y || sum != x+y || r.Bands[0].Limit != x+y {
			t.Errorf("%s: x takes %d, y %d, all %d, limit %d; want %d, %d", what, gotX, gotY, sum, r.Bands[0].Limit, x, y)
		}
	}
	state := func(loads []store.Load) func(*store.Statement) {
		return func(s *store.Statement) {
			reaching(loads)(s)
			s.WantLoads = true
		}
	}
	check("a says less", a.turn(state(takes("x", 0, 1))), 1, 3)
	check("a sends no more", a.turn(func(s *store.Statement) {
		s.Loads, s.WantLoads, s.Bands[0].Limit = takes("x", 0, store.Closed), true, store.NoOpinion
	}), 2, 3)
	check("a does again", a.turn(state(takes("x", 0, 1))), 1, 3)
	clock.Advance(Lease - time.Millisecond)
	b.turn(nil)
	clock.Advance(2 * time.Millisecond)
	check("a's lease has ended", b.turn(func(s *store.Statement) { s.WantLoads, s.Capacity = true, 5 }), 2, 3)
}

// shortRecallsEnds: when an ingress comes to be short of room, others hear of it at once: they
// may keep ends to themselves at the endpoints that it reaches. As long as it is short, replies
// say so.
func shortRecallsEnds(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newReaching(t, l)
	wakeups := l.Wakeups(t.Context(), "b")
	b.turn(ofCapacity(5, offers(b.many("g", 1, 2)...)))
	b.finish(2)
	if r := b.turn(func(s *store.Statement) { s.Loads, s.Capacity, s.WantFloat = takes("x", 2, 2, "y", 0, 3), 5, 4 }); r.FloatShare == 0 {
		t.Fatal("b is given no float") // so it may say later what ends
	}
	r := a.turn(ofCapacity(2, offers(a.many("f", 1, 1)...)))
	want(t, "x is full", a.grants(), "")
	if len(r.Short) != 1 {
		t.Fatalf("short are %v, want a", r.Short)
	}
	select {
	case w := <-wakeups:
		if !w.Recall {
			t.Errorf("b is woken by %+v, want a recall", w)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("b is not woken")
	}
	clock.Advance(30 * time.Millisecond)
	if r = b.turn(func(s *store.Statement) { s.Capacity, s.WantFloat = 5, 4 }); len(r.Short) != 1 || r.FloatShare == 0 {
		t.Errorf("short are %v, float %d; want a, and that b has float all the same", r.Short, r.FloatShare)
	}
}

// drainedLeavesTheRest: what is in flight at an endpoint that no replica sends requests to
// any more, as its limits have nothing of it, takes no room at the others.
func drainedLeavesTheRest(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newReaching(t, l)
	a.turn(ofCapacity(2, offers(a.many("f", 1, 2)...)))
	b.turn(ofCapacity(5, offers(b.many("g", 1, 9)...)))
	want(t, "x has a's, and y b's", a.grants()+", "+b.grants(), "f/1 f/2, g/1 g/2 g/3")
	drained := store.Load{Endpoint: "y", InFlight: 3, Capacity: store.Closed}
	b.bands[0].Limit = 2
	b.turn(func(s *store.Statement) { s.Loads, s.Capacity = []store.Load{drained}, 2 })
	a.finish(2)
	r := a.turn(func(s *store.Statement) { s.Loads, s.Capacity, s.WantFloat = takes("x", 0, 2), 2, 8 })
	if r.InFlight != 5 || r.OutOfUse != 3 {
		t.Errorf("%d in flight, %d of them out of use; want 5, 3: b's two have been granted", r.InFlight, r.OutOfUse)
	}
	b.turn(ofCapacity(2))
	want(t, "b is granted all of x", b.grants(), "g/4 g/5")
	b.finish(2)
	b.turn(func(s *store.Statement) {
		s.Loads, s.Capacity = append(takes("x", 0, 2), drained), 2
		for n := 6; n <= 9; n++ {
			s.Withdrawn = append(s.Withdrawn, b.ticket(n))
		}
	})
	r = a.turn(func(s *store.Statement) { s.Capacity, s.WantFloat = 2, 8 })
	if r.Float != 1 {
		t.Errorf("%d permits while x is free, want half of it", r.Float)
	}
	a.turn(func(s *store.Statement) { s.Capacity = 2 })
	b.turn(func(s *store.Statement) { s.Loads, s.Capacity = takes("y", 3, 3), 5; s.Bands[0].Limit = 5 })
	b.bands[0].Limit = 5
	b.turn(ofCapacity(5, offers(b.many("g", 10, 19)...)))
	want(t, "y counts again", b.grants(), "g/10 g/11")

	b.bands[0].Limit = 2
	drained.InFlight = 3
	b.turn(func(s *store.Statement) { s.Loads, s.Capacity = []store.Load{drained}, 2 })
	clock.Advance(Lease - time.Millisecond)
	a.turn(ofCapacity(2))
	clock.Advance(2 * time.Millisecond)
	r = a.turn(ofCapacity(2))
	if len(r.Lost) != 1 || r.Lost[0].Held != 5 || r.OutOfUse != 3 {
		t.Errorf("b is lost: %+v, %d out of use; want 3 of 5: nobody lists y", r.Lost, r.OutOfUse)
	}
}

// implausible: a replica that states what cannot be is refused, and the ledger goes on for
// the others in the same generation.
func implausible(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newReaching(t, l)
	generation := a.generation
	for what, edit := range map[string]func(*store.Statement){
		"a capacity below zero":   func(s *store.Statement) { s.Capacity = -1 },
		"a capacity too large":    func(s *store.Statement) { s.Capacity = math.MaxInt64 },
		"float below zero":        func(s *store.Statement) { s.Float = -1 },
		"float wanted below zero": func(s *store.Statement) { s.WantFloat = -1 },
		"revoking below zero":     func(s *store.Statement) { s.Revoking = -1 },
		"a pace below zero":       func(s *store.Statement) { s.Pace = -time.Second },
		"a pace without end":      func(s *store.Statement) { s.Pace = math.MaxInt64 },
		"a longest below zero":    func(s *store.Statement) { s.Longest = -time.Second },
		"a band's below zero": func(s *store.Statement) {
			s.Bands = []store.Band{{Policy: "fair", CountsService: true, Limit: 4, InFlight: -1}}
		},
		"a band's too large": func(s *store.Statement) {
			s.Bands = []store.Band{{Policy: "fair", CountsService: true, Limit: 4, InFlight: store.MaxCapacity + 1}}
		},
		"an endpoint's below zero":    func(s *store.Statement) { s.Loads = takes("x", 0, -5) },
		"an endpoint's too large":     func(s *store.Statement) { s.Loads = takes("x", 0, math.MaxInt64) },
		"a load too large":            func(s *store.Statement) { s.Loads = takes("x", 1<<60, 2) },
		"permits below zero":          func(s *store.Statement) { s.Loads = []store.Load{{Endpoint: "x", Permits: -5}} },
		"permits wanted, below zero":  func(s *store.Statement) { s.Loads = []store.Load{{Endpoint: "x", Wanted: -5}} },
		"tokens expected, below zero": func(s *store.Statement) { s.Loads = []store.Load{{Endpoint: "x", Tokens: -5}} },
		"a flow's below zero":         bounds(store.Limited{Flow: "f", MaxInFlight: 2, InFlight: -1}),
		"a flow's limit below zero":   bounds(store.Limited{Flow: "f", MaxInFlight: -2}),
		"tokens a minute: no number":  bounds(store.Limited{Flow: "f", TokensPerMinute: math.NaN()}),
		"a group's too large":         bounds(store.Limited{Group: "x", MaxInFlight: 2, InFlight: math.MaxInt64}),
		"a weight too small":          func(s *store.Statement) { s.Bands = []store.Band{weighed(0, 4, 1e-7)} },
		"a weight too large":          func(s *store.Statement) { s.Bands = []store.Band{weighed(0, 4, 1e7)} },
		"a weight: no number":         func(s *store.Statement) { s.Bands = []store.Band{weighed(0, 4, math.NaN())} },
		"a group's slots, no end":     bounds(store.Limited{Group: "x", MaxSlots: math.Inf(1)}),
	} {
		if r, err := l.Turn(t.Context(), b.statement(edit)); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %+v, %v; want it refused", what, r, err)
		}
	}
	r := a.turn(ofCapacity(2))
	if r.Generation != generation || r.Capacity != 5 {
		t.Errorf("generation %d, capacity %d; want %d, 5 as before", r.Generation, r.Capacity, generation)
	}
	most := int64(store.MaxCapacity)
	if r = b.turn(reaching([]store.Load{{Endpoint: "x", Capacity: most}, {Endpoint: "y", Capacity: most}})); r.Capacity != most+2 {
		t.Errorf("with the largest: capacity %d, want %d", r.Capacity, most+2)
	}
}

// partsOfTheFleet: limits and guarantees that are parts of what one replica's endpoints take
// hold for the same parts of all.
func partsOfTheFleet(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(1, 2), counting(0, 1))
	b := newParty(t, l, "b", counting(1, 6), counting(0, 3))
	a.bands[1].Guaranteed, b.bands[1].Guaranteed = 0.5, 1.5
	a.turn(func(s *store.Statement) { s.Loads, s.Capacity = takes("x", 0, 2), 2 })
	r := b.turn(func(s *store.Statement) { s.Loads, s.Capacity = takes("x", 0, 2, "y", 0, 4), 6 })
	if r.Bands[0].Limit != 6 || r.Bands[1].Limit != 3 || r.Bands[1].Guaranteed != 1.5 {
		t.Errorf("limits %d and %d, guaranteed %v; want 6, 3, 1.5", r.Bands[0].Limit, r.Bands[1].Limit, r.Bands[1].Guaranteed)
	}
	r = b.turn(func(s *store.Statement) { s.Loads, s.Capacity = takes("y", store.Gone, 0), 6 })
	if r.Bands[0].Limit != 2 || r.Bands[1].Limit != 1 || r.Bands[1].Guaranteed != 0.5 {
		t.Errorf("once y is gone: limits %d and %d, guaranteed %v; want 2, 1, 0.5", r.Bands[0].Limit, r.Bands[1].Limit, r.Bands[1].Guaranteed)
	}
}

// unreadStayCounted: a grant to go to an endpoint that its ingress takes off its list before
// it has read it counts there.
func unreadStayCounted(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newReaching(t, l)
	offer := b.offer(1, "f", 0)
	offer.Ticket.Ingress = "a"
	b.turn(ofCapacity(5, offers(offer))) // a has it in an unread message
	a.turn(func(s *store.Statement) { s.Loads, s.Capacity = []store.Load{{Endpoint: "x", InFlight: store.Gone}}, 2 })
	r := b.turn(func(s *store.Statement) { s.WantLoads, s.Capacity = true, 5 })
	want(t, "with the unread grant", told(r), "y=0 x=1")
}

// preferred: an offer is granted for the endpoint that it prefers, in the turn that states it,
// while its ingress sends requests there and it has room beside what others may let go; else
// for the least loaded.
func preferred(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newReaching(t, l)
	seq := 0
	prefer := func(endpoints ...string) func(*store.Statement) {
		return func(s *store.Statement) {
			for _, endpoint := range endpoints {
				seq++
				o := b.offer(seq, "g", 0)
				o.Prefer = endpoint
				s.Offers = append(s.Offers, o)
			}
		}
	}
	r := b.turn(ofCapacity(5, prefer("y", "y", "y")))
	want(t, "y is preferred and has room for three", suggested(r), "y=0 y=1 y=2")
	r = b.turn(ofCapacity(5, prefer("y")))
	want(t, "y is full", suggested(r), "x=0")
	b.finish(4)
	for _, endpoint := range []string{"", "nowhere", "c%", strings.Repeat("y", 10_000)} {
		b.turn(func(s *store.Statement) { s.Capacity, s.Loads = 5, takes("x", 0, 2, "y", 1, 3) })
		r = b.turn(ofCapacity(5, prefer(endpoint)))
		want(t, fmt.Sprintf("%.10q is preferred", endpoint), suggested(r), "x=0")
		b.finish(1)
	}
	b.turn(func(s *store.Statement) { s.Capacity, s.Loads = 3, takes("x", 0, store.Closed, "y", 1, 3) })
	r = b.turn(ofCapacity(3, prefer("x")))
	want(t, "b sends nothing to x any more", suggested(r), "y=1")
	b.finish(1)

	b.turn(func(s *store.Statement) { s.Capacity, s.Loads = 5, takes("x", 0, 2, "y", 3, 3) })
	r = b.turn(ofCapacity(5, prefer("y", "y", "y")))
	want(t, "y is full, and then x", suggested(r), "x=0 x=1")
	r = b.turn(func(s *store.Statement) { s.Capacity, s.Loads = 5, takes("x", 0, 2, "y", 1, 3) })
	want(t, "the one that waited goes to the least loaded", suggested(r), "x=0")
	b.finish(3)

	permits := store.Load{Endpoint: "x", InFlight: 0, Capacity: 2, Permits: 2, Wanted: 2}
	a.turn(func(s *store.Statement) { s.Capacity, s.Loads = 2, []store.Load{permits} })
	b.turn(func(s *store.Statement) { s.Capacity, s.Loads = 5, takes("x", 0, 2, "y", 1, 3) })
	r = b.turn(ofCapacity(5, prefer("x")))
	want(t, "a may let requests go to x", suggested(r), "y=1")
}
