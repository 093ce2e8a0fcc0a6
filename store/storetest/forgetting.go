package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// Forgets has a ledger forget what is idle: after the time that counters are kept, and the
// longest idle where there are too many, flows and groups alike, wherever these are compared.
// It is not in [Run], since the ledgers there keep all counters.
func Forgets(t *testing.T, of func(store.Timings) Factory) {
	timings := Timings()
	timings.CounterKeep, timings.CountersKept = 20*time.Second, 3
	for _, in := range []string{"", "outer"} {
		for _, kind := range []string{"flow", "group"} {
			for passed, want := range map[time.Duration]string{time.Second: "3 4 5", 21 * time.Second: ""} {
				t.Run(fmt.Sprintf("%ss in %q after %v", kind, in, passed), func(t *testing.T) {
					clock := NewClock()
					f := forgetting{newParty(t, of(timings)(t, clock.Now), "a", counting(0, 0)), in, kind}
					for n := range 6 {
						f.spend(n)
						clock.Advance(time.Millisecond)
					}
					for range passed / time.Second {
						clock.Advance(time.Second)
						f.turn(f.group(in))
					}
					if got := f.known(); got != want {
						t.Errorf("known are %q, want %q", got, want)
					}
				})
			}
		}
	}
	t.Run("group that is settled later", func(t *testing.T) {
		clock := NewClock()
		settledLater(t, of(timings)(t, clock.Now), clock, timings.CounterKeep)
	})
	t.Run("group of a granted ticket", func(t *testing.T) {
		clock := NewClock()
		grantedBefore(t, of(timings)(t, clock.Now), clock, timings.CounterKeep)
	})
	t.Run("band at a full pool", func(t *testing.T) {
		clock := NewClock()
		bandAtFullPool(t, of(timings)(t, clock.Now), clock)
	})
}

// bandAtFullPool: a higher band that nobody states any more is forgotten while the pool is full of a
// lower one's requests and more wait, and the ledger is the same one after it.
func bandAtFullPool(t *testing.T, l store.Ledger, clock *Clock) {
	a := newParty(t, l, "a", counting(0, 1), counting(5, 1))
	a.turn(nil)
	a.turn(func(s *store.Statement) {
		o := a.offer(1, "urgent", 0)
		o.Priority = 5
		s.Offers = []store.Offer{o}
	})
	want(t, "a", a.grants(), "urgent/1")
	a.bands[1].InFlight = 0
	a.turn(nil)
	a.bands = a.bands[:1]
	a.bands[0].Wanted = 3
	first := a.turn(func(s *store.Statement) {
		s.Offers = []store.Offer{a.offer(2, "f", 0), a.offer(3, "f", 1), a.offer(4, "f", 2)}
	})
	want(t, "a", a.grants(), "f/2")
	a.bands[0].Wanted = 4
	for range 60 {
		clock.Advance(time.Second)
		if r := a.turn(nil); r.Generation != first.Generation {
			t.Fatalf("a generation began anew: %d, it was %d", r.Generation, first.Generation)
		}
	}
}

// settledLater: a request that took longer than an idle group is remembered is charged to that
// all the same.
func settledLater(t *testing.T, l store.Ledger, clock *Clock, kept time.Duration) {
	ts := newTenants(t, l, counting(0, 1), "x=2")
	ts.state(ts.wait("x:a", 1, 1))
	for range kept/time.Second + 1 {
		clock.Advance(time.Second)
		ts.turn(nil)
	}
	if g := ts.state().Groups[0]; g.Known {
		t.Fatalf("after %v the group stands at %g", kept, g.Counter)
	}
	settled := ts.state(func(s *store.Statement) {
		s.Settlements = []store.Settlement{{Flow: "a", Policy: "fair", Group: "x", Delta: 6, Service: 6, Weight: 1, Counter: 1}}
	})
	if g := settled.Groups[0]; !g.Known || g.Counter < 3 {
		t.Errorf("a group was settled at 6 for its weight of 2, and stands at %g, known: %v", g.Counter, g.Known)
	}
}

// grantedBefore: a ticket is granted, its owner does not read so until the group that it was in is
// forgotten, and then another owner offers it, by whose configuration it is in none. The ledger is the
// same one as before, and tells the other that the ticket was taken.
func grantedBefore(t *testing.T, l store.Ledger, clock *Clock, kept time.Duration) {
	owner, ingress, other := newTenants(t, l, counting(0, 1), "x=1"), newParty(t, l, "c", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	owner.members, ingress.members, other.members = 3, 3, 3
	ingress.turn(nil)
	other.turn(nil)
	offer := ingress.offer(1, "f", 0)
	offer.Group = "x"
	offered := func(s *store.Statement) { s.Offers = []store.Offer{offer} }
	first := owner.state(offered)
	ingress.turn(nil)
	want(t, "the ingress", ingress.grants(), "f/1")
	ingress.finish(1)
	for range kept/time.Second + 2 {
		clock.Advance(time.Second)
		owner.read = 0
		for _, p := range []*party{owner.party, ingress, other} {
			p.turn(nil)
		}
	}
	offer.Group = ""
	r := other.turn(offered)
	if r.Generation != first.Generation || r.Status != store.OK {
		t.Fatalf("a generation began anew: %d, it was %d; the turn's answer is %v", r.Generation, first.Generation, r.Status)
	}
	if len(r.Messages) != 1 || r.Messages[0].Kind != store.Taken || r.Messages[0].Ticket != offer.Ticket {
		t.Errorf("the other owner hears %v, want that the ticket was taken", r.Messages)
	}
}

// forgetting is a replica whose flows or groups are numbered, in a group or at the top.
type forgetting struct {
	*party
	in, kind string
}

// path is the group in which a flow of that number is.
func (f *forgetting) path(n int) string {
	if f.kind == "group" {
		return strings.TrimPrefix(fmt.Sprint(f.in, "/", n), "/")
	}
	return f.in
}

// group is an edit that states a group.
func (f *forgetting) group(path string) func(*store.Statement) {
	return func(s *store.Statement) {
		if path != "" {
			s.Groups = append(s.Groups, store.Group{Path: path})
		}
	}
}

// spend lets a request of that number go by float.
func (f *forgetting) spend(n int) {
	f.turn(func(s *store.Statement) {
		f.group(f.path(n))(s)
		s.Settlements = []store.Settlement{{Flow: fmt.Sprint(n), Policy: "fair", Group: f.path(n), Delta: 1, Service: 1, Weight: 1, Last: 1}}
	})
}

// known lists the numbers of which the ledger has a counter: another flow begins at the rank
// that its offer states.
func (f *forgetting) known() string {
	const stated = 100
	var list []string
	if f.kind == "group" {
		for n := range 6 { // one that is asked for is made, and counts as idle; the oldest come last
			if f.turn(f.group(f.path(5 - n))).Groups[0].Known {
				list = append(list, fmt.Sprint(5-n))
			}
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	f.bands[0].Limit = 6
	for _, m := range f.turn(func(s *store.Statement) {
		for n := range 6 {
			o := f.offer(n, fmt.Sprint(n), stated)
			o.Group = f.in
			s.Offers = append(s.Offers, o)
		}
	}).Messages {
		if m.Counter < stated {
			list = append(list, m.Flow)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
