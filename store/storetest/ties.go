package storetest

import (
	"testing"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// Ties has a ledger order what ties. It is in [Run], and is for servers of a locale of their own.
func Ties(t *testing.T, factory Factory) {
	clock := NewClock()
	tiesGoByBytes(t, factory(t, clock.Now), clock)
	linesGoByBytes(t, factory(t, clock.Now), clock)
}

// tiesGoByBytes: of what has the same counter, groups by their paths, and of the offers of a flow that
// have the same score and number, those by their ingresses, "Z" goes before "a".
func tiesGoByBytes(t *testing.T, l store.Ledger, _ *Clock) {
	a, z := newTenants(t, l, counting(0, 1), "a=1", "Z=1"), newParty(t, l, "Z", counting(0, 1))
	a.members, z.members = 2, 2
	z.turn(nil)
	a.state(a.wait("a:f", 1, 1), a.wait("Z:g", 1, 1))
	want(t, "of two groups", a.grants(), "g/2")
	of := func(ingress string) func(*store.Statement) {
		return func(s *store.Statement) {
			s.Offers = []store.Offer{{Ticket: policies.TicketID{Ingress: ingress, Seq: 9}, Flow: "h", Charge: 1, Score: 9}}
		}
	}
	a.state(of("a"))
	first := a.state(of("Z"))
	for _, then := range []string{"f/1", ""} { // and that at Z
		a.finish(1)
		a.state()
		want(t, "at a", a.grants(), then)
	}
	z.turn(nil)
	want(t, "at Z", z.grants(), "h/9")
	z.finish(1)
	if r := z.turn(nil); r.Generation != first.Generation {
		t.Errorf("a generation began anew: %d, it was %d", r.Generation, first.Generation)
	}
	a.turn(nil)
	want(t, "at a", a.grants(), "h/9")
}

// linesGoByBytes: of two lines as long at replicas with as many slots, the first by the bytes of its id gets
// the slot that is free: "Z" before "a".
func linesGoByBytes(t *testing.T, l store.Ledger, _ *Clock) {
	var ps []*party
	for _, id := range []string{"m", "a", "Z"} {
		p := newParty(t, l, id, counting(0, 3))
		p.members = 3
		ps = append(ps, p)
		p.turn(nil)
	}
	m, a, z := ps[0], ps[1], ps[2]
	for _, p := range ps {
		p.fill(1, 0, "f"+p.id, p.wantsLine(0))
		p.turn(nil)
		want(t, p.id, p.grants(), "f"+p.id+"/1")
	}
	for _, p := range []*party{a, z} {
		p.turn(func(s *store.Statement) {
			p.wantsLine(1)(s)
			s.Offers = []store.Offer{p.offer(2, "f"+p.id, 1)}
		})
		want(t, "at "+p.id, p.inLine(), "f"+p.id+"/2")
	}
	m.finish(1)
	m.turn(m.wantsLine(0))
	z.turn(z.wantsLine(1))
	a.turn(a.wantsLine(1))
	want(t, "Z", z.grants(), "fZ/2")
	want(t, "a", a.grants(), "")
}
