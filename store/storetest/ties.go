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
