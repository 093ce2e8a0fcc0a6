package storetest

import (
	"slices"
	"testing"

	"github.com/weirflow/weir/store"
)

// yielding has h1 and h2 fill the endpoints x and y, and a request in line at each. k and m reach x
// alone, and a reaches y.
func yielding(t *testing.T, l store.Ledger) map[string]*party {
	t.Helper()
	loads := func(id string, x, y int64) []store.Load {
		switch id {
		case "a":
			return []store.Load{{Endpoint: "y", Capacity: 3}}
		case "k", "m":
			return []store.Load{{Endpoint: "x", Capacity: 3}}
		}
		return []store.Load{{Endpoint: "x", InFlight: x, Capacity: 3}, {Endpoint: "y", InFlight: y, Capacity: 3}}
	}
	parties := map[string]*party{}
	for _, id := range []string{"a", "h1", "h2", "k", "m"} {
		p := newParty(t, l, id, counting(0, 6), counting(5, 6))
		p.members = 5
		parties[id] = p
		p.turn(func(s *store.Statement) { s.Loads = loads(id, 0, 0) })
	}
	fill := func(p *party, x, y int64) {
		p.bands[0].InFlight, p.bands[0].Wanted = x+y, 9
		p.turn(func(s *store.Statement) { s.Loads = loads(p.id, x, y) })
	}
	fill(parties["h1"], 1, 3)
	fill(parties["h2"], 2, 0)
	for _, id := range []string{"h1", "h2"} {
		p := parties[id]
		p.turn(func(s *store.Statement) {
			p.wantsLine(1)(s)
			s.Offers = []store.Offer{p.offer(1, id, 0)}
		})
		want(t, "at "+id, p.inLine(), id+"/1")
	}
	return parties
}

// slotsAreGivenUpForWhatIsOffered: what waits at one ingress since its flow is at a limit takes no slot
// that is given up for those that are offered at another.
func slotsAreGivenUpForWhatIsOffered(t *testing.T, l store.Ledger, _ *Clock) {
	parties := yielding(t, l)
	a, k, h1, h2 := parties["a"], parties["k"], parties["h1"], parties["h2"]
	k.bands[1].Wanted = 2
	k.turn(func(s *store.Statement) { s.Offers = []store.Offer{urgent(k, 5), urgent(k, 6)} })
	a.bands[1].Wanted = 2 // and none of them is offered
	a.turn(nil)
	if r := h1.turn(h1.wantsLine(1)); len(r.Yields) > 0 {
		t.Errorf("h1 is to give up %v, where nothing of what is offered can go", r.Yields)
	}
	if r := h2.turn(h2.wantsLine(1)); !slices.Equal(r.Yields, []store.Yield{{Endpoint: "x", Slots: 2}}) {
		t.Errorf("h2 is to give up %v, want two slots at x", r.Yields)
	}
}

// slotsAreGivenUpOnce: three wait at x at two ingresses, so that the three slots there are given up.
func slotsAreGivenUpOnce(t *testing.T, l store.Ledger, _ *Clock) {
	parties := yielding(t, l)
	k, m, h1, h2 := parties["k"], parties["m"], parties["h1"], parties["h2"]
	k.bands[1].Wanted, m.bands[1].Wanted = 2, 1
	k.turn(func(s *store.Statement) { s.Offers = []store.Offer{urgent(k, 5), urgent(k, 6)} })
	m.turn(func(s *store.Statement) { s.Offers = []store.Offer{urgent(m, 7)} })
	if r := h1.turn(h1.wantsLine(1)); !slices.Equal(r.Yields, []store.Yield{{Endpoint: "x", Slots: 1}}) {
		t.Errorf("h1 is to give up %v, want its slot at x", r.Yields)
	}
	if r := h2.turn(h2.wantsLine(1)); !slices.Equal(r.Yields, []store.Yield{{Endpoint: "x", Slots: 2}}) {
		t.Errorf("h2 is to give up %v, want its two slots at x, told once", r.Yields)
	}
}
