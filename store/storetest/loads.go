package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// at lists loads, as endpoint and number in turn.
func at(loads ...any) (list []store.Load) {
	for i := 0; i < len(loads); i += 2 {
		list = append(list, store.Load{Endpoint: loads[i].(string), InFlight: int64(loads[i+1].(int))})
	}
	return list
}

// told writes the fleet's loads in the order of the reply.
func told(r *store.Reply) string {
	var all []string
	for _, l := range r.Loads {
		all = append(all, fmt.Sprintf("%s=%d", l.Endpoint, l.InFlight))
	}
	return strings.Join(all, " ")
}

// suggested writes where the grants of a reply are sent, and how many the ledger saw
// there.
func suggested(r *store.Reply) string {
	var all []string
	for _, m := range r.Messages {
		if m.Kind&store.Granted != 0 {
			all = append(all, fmt.Sprintf("%s=%d", m.Endpoint, m.EndpointInFlight))
		}
	}
	return strings.Join(all, " ")
}

// suggestsLeast sends grants of one turn to different endpoints, counts those of other
// replicas, and takes the grant back where the ingress says that it went elsewhere.
func suggestsLeast(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 10)
	a.turn(func(s *store.Statement) { s.Loads = at("x", 3, "y", 0, "z", 1) })
	b.turn(func(s *store.Statement) { s.Loads = at("x", 0, "y", 2, "z", 0) })
	r := a.turn(func(s *store.Statement) {
		s.Offers = []store.Offer{a.offer(1, "f", 0), a.offer(2, "f", 0), a.offer(3, "f", 0)}
		s.WantLoads = true
	})
	want(t, "three grants at x=3 y=2 z=1", suggested(r), "z=1 y=2 z=2")
	want(t, "loads with them", told(r), "x=3 y=3 z=3")
	r = a.turn(func(s *store.Statement) { s.Loads, s.WantLoads = at("x", 6, "y", 0, "z", 1), true })
	want(t, "loads once all three went to x", told(r), "z=1 y=2 x=6")
	a.turn(nil)
	r = b.turn(func(s *store.Statement) { s.Offers = []store.Offer{b.offer(4, "f", 0)}; s.Loads = at("z", 9) })
	want(t, "the other replica's grant", suggested(r), "y=2")
}

// loadsStated checks that loads are what was last stated and what is suggested in
// unread messages, and that an endpoint is gone when nobody has it.
func loadsStated(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newPair(t, l, 10)
	a.turn(func(s *store.Statement) { s.Loads = at("x", 1, "y", 1) })
	b.turn(func(s *store.Statement) { s.Loads = at("x", 1, "y", 0) })
	offer := a.offer(1, "f", 0)
	offer.Ticket.Ingress = "b" // a is granted nothing: b has it in an unread message
	a.turn(func(s *store.Statement) { s.Offers = []store.Offer{offer} })
	wants := func(s *store.Statement) { s.WantLoads = true }
	want(t, "with an unread grant", told(a.turn(wants)), "x=2 y=2")
	read := b.read
	r := b.turn(func(s *store.Statement) { s.Loads, s.WantLoads = at("y", 5), true })
	want(t, "stated while the grant is unread", told(r), "x=2 y=7")
	if b.read == read {
		t.Error("b has no message")
	}
	r = b.turn(func(s *store.Statement) { s.Loads, s.WantLoads = at("y", 6), true })
	want(t, "stated with the grant", told(r), "x=2 y=7")
	r = b.turn(func(s *store.Statement) { s.Loads, s.WantLoads = at("y", store.Gone), true })
	want(t, "y is gone at b", told(r), "y=1 x=2")
	r = a.turn(func(s *store.Statement) { s.Loads, s.WantLoads = at("y", store.Gone), true })
	want(t, "y is gone", told(r), "x=2")
	a.full = true
	want(t, "nothing is restated", told(a.turn(wants)), "x=1")
	if r := a.turn(nil); len(r.Loads) > 0 {
		t.Errorf("told without being asked: %v", r.Loads)
	}
}

// tokensCount checks that what requests are expected to cost is counted like they are.
func tokensCount(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newPair(t, l, 10)
	costs := func(r *store.Reply) string {
		var all []string
		for _, load := range r.Loads {
			all = append(all, fmt.Sprintf("%s=%d", load.Endpoint, load.Tokens))
		}
		return strings.Join(all, " ")
	}
	a.turn(func(s *store.Statement) { s.Loads = []store.Load{{Endpoint: "x", InFlight: 1, Tokens: 100}} })
	b.turn(func(s *store.Statement) {
		s.Loads = []store.Load{{Endpoint: "x", InFlight: 1, Tokens: 30}, {Endpoint: "y", InFlight: 3}}
	})
	r := a.turn(func(s *store.Statement) {
		s.Loads, s.WantLoads = []store.Load{{Endpoint: "x", InFlight: 1, Tokens: 90}}, true
	})
	want(t, "of both", costs(r), "x=120 y=0")
	clock.Advance(Lease - time.Millisecond)
	a.turn(nil)
	clock.Advance(2 * time.Millisecond)
	want(t, "after b's lease", costs(a.turn(func(s *store.Statement) { s.WantLoads = true })), "x=90")
}

// loadsOfTheDead checks that a replica's loads end with its lease.
func loadsOfTheDead(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newPair(t, l, 10)
	a.turn(func(s *store.Statement) { s.Loads = at("x", 1, "y", 0) })
	b.turn(func(s *store.Statement) { s.Loads = at("x", 4, "only b's", 2) })
	clock.Advance(Lease - time.Millisecond)
	a.turn(nil)
	clock.Advance(2 * time.Millisecond)
	want(t, "after b's lease", told(a.turn(func(s *store.Statement) { s.WantLoads = true })), "y=0 x=1")
}
