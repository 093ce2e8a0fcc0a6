package redis

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

// TestDamageBeginsAnEpoch makes garbage of what the ledger keeps: the turn that meets it
// fails and says so, and the next one finds a ledger that must be told everything.
func TestDamageBeginsAnEpoch(t *testing.T) {
	for _, c := range []struct{ what, key, field, value string }{
		{"state", "", "state", "x"},
		{"replica", ":replicas", "a", "a\x1f-3"},
		{"incarnation", ":replicas", "a", "a\x1fx" + strings.Repeat("\x1f0", 6) + "\x1f\x1f\x1f0\x1f"},
		{"another's record", ":replicas", "a", "b\x1f00000000000000000001\x1f1\x1f1" + strings.Repeat("\x1f0", 4) + "\x1f\x1f0\x1f0\x1f0\x1f\x1f\x1f0\x1f\x1f0\x1f0"},
		{"book", ":books", "0:4:fair", "inf"},
		{"flag of a book", ":books", "0:4:fair", "0\x1f0\x1f0\x1fx\x1f0\x1f0\x1ffair\x1f0\x1f0"},
		{"band", ":bands", "0", "x"},
		{"another type", ":leases", "", "x"},
		{"no replicas", ":replicas", "", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			server, clock := miniredis.RunT(t), storetest.NewClock()
			l := open("redis://"+server.Addr())(t, clock.Now)
			s := &store.Statement{Replica: "a", Incarnation: 1, Number: 1, Register: true, Bands: []store.Band{{Policy: "fair", CountsService: true, Limit: 1}}}
			r, err := l.Turn(t.Context(), s)
			if err != nil || r.Status != store.OK {
				t.Fatal(r, err)
			}
			before := baseOf(server, l)
			if c.field == "" {
				server.Del(before + c.key)
			}
			switch {
			case c.value == "":
			case c.field == "":
				_ = server.Set(before+c.key, c.value)
			default:
				server.HSet(before+c.key, c.field, c.value)
			}
			s.Number, s.Answered, s.Generation, s.Register = 2, 1, r.Generation, false
			if _, err := l.Turn(t.Context(), s); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "begins anew") {
				t.Fatalf("the turn that meets it: %v, want an error that says that the ledger begins anew", err)
			}
			if baseOf(server, l) == before {
				t.Error("no epoch began")
			}
			s.Number = 3
			if again, err := l.Turn(t.Context(), s); err != nil || again.Status != store.Register || again.Generation == r.Generation {
				t.Errorf("the next turn: %+v, %v, want to register in another generation", again, err)
			}
		})
	}
}

// TestLostBookBeginsAnEpoch deletes a key of a book: it is noticed within a second, whatever
// has been written to it since.
func TestLostBookBeginsAnEpoch(t *testing.T) {
	for _, lost := range []string{"wait", "idle", "count"} {
		t.Run(lost, func(t *testing.T) {
			server, clock := miniredis.RunT(t), storetest.NewClock()
			l := open("redis://"+server.Addr())(t, clock.Now)
			s := &store.Statement{Replica: "a", Incarnation: 1, Number: 1, Register: true, Members: 1, Bands: []store.Band{{Policy: "fair", CountsService: true}}}
			r, err := l.Turn(t.Context(), s)
			if err != nil || r.Status != store.OK {
				t.Fatal(r, err)
			}
			server.Del(baseOf(server, l) + ":" + lost + ":0:4:fair")
			s.Register, s.Generation = false, r.Generation
			s.Offers = []store.Offer{{Ticket: policies.TicketID{Ingress: "a", Seq: 1}, Flow: "f", Charge: 1, Weight: 1, Idle: true}}
			for range 3 {
				s.Number, s.Answered = s.Number+1, s.Number
				if _, err = l.Turn(t.Context(), s); err != nil {
					break
				}
				s.Offers = nil
				clock.Advance(600 * time.Millisecond)
			}
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "begins anew") {
				t.Errorf("a second later: %v, want an error that says that the ledger begins anew", err)
			}
		})
	}
}

// TestLostGroupBeginsAnEpoch deletes a key of a group, in which something waits or not: it is
// noticed when the group is next in use, and all offers are repeated.
func TestLostGroupBeginsAnEpoch(t *testing.T) {
	for _, group := range []string{"g", "g/h"} {
		for _, lost := range []string{"wait", "idle", "count"} {
			for _, waits := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s of %s, waits %v", lost, group, waits), func(t *testing.T) {
					server, clock := miniredis.RunT(t), storetest.NewClock()
					l := open("redis://"+server.Addr())(t, clock.Now)
					s := &store.Statement{Replica: "a", Incarnation: 1, Number: 1, Register: true, Members: 1, Bands: []store.Band{{Policy: "fair", CountsService: true}}}
					turn := func(n uint64) error {
						t.Helper()
						s.Offers = nil
						if n > 0 {
							s.Offers = []store.Offer{{Ticket: policies.TicketID{Ingress: "a", Seq: n}, Flow: "f", Charge: 1, Weight: 1, Idle: true, Group: group, IdleGroups: 1}}
						}
						r, err := l.Turn(t.Context(), s)
						if err == nil && r.Status != store.OK {
							t.Fatal(r)
						}
						if err == nil {
							s.Register, s.Generation = false, r.Generation
						}
						s.Number, s.Answered, s.Withdrawn, s.Full = s.Number+1, s.Number, nil, false
						return err
					}
					if err := errors.Join(turn(0), turn(1)); err != nil {
						t.Fatal(err)
					}
					if !waits {
						s.Withdrawn = []policies.TicketID{{Ingress: "a", Seq: 1}}
						if err := turn(0); err != nil {
							t.Fatal(err)
						}
					}
					if !server.Del(baseOf(server, l) + ":" + lost + ":0:4:fair/" + group) {
						t.Fatal("there is no such key")
					}
					err := turn(2)
					if err == nil {
						s.Full = true
						err = turn(2)
					}
					if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "begins anew") {
						t.Errorf("once it is used: %v, want an error that says that the ledger begins anew", err)
					}
				})
			}
		}
	}
}

// TestUnreadableStatementIsRefused has a replica state what cannot be: it is refused, and
// the ledger goes on for the others.
func TestUnreadableStatementIsRefused(t *testing.T) {
	server, clock := miniredis.RunT(t), storetest.NewClock()
	l := open("redis://"+server.Addr())(t, clock.Now)
	register := func(id string, limit int64) *store.Statement {
		return &store.Statement{Replica: id, Incarnation: 1, Number: 1, Register: true, Bands: []store.Band{{Policy: "fair", CountsService: true, Limit: limit}}}
	}
	fine := register("a", 1)
	r, err := l.Turn(t.Context(), fine)
	if err != nil || r.Status != store.OK {
		t.Fatal(r, err)
	}
	before := baseOf(server, l)
	if _, err := l.Turn(t.Context(), register("b", math.MinInt64)); err == nil || !strings.Contains(err.Error(), "UNREADABLE") {
		t.Errorf("a limit that cannot be: %v, want it refused", err)
	}
	if baseOf(server, l) != before {
		t.Error("an epoch began")
	}
	fine.Number, fine.Answered, fine.Generation, fine.Register = 2, 1, r.Generation, false
	if again, err := l.Turn(t.Context(), fine); err != nil || again.Status != store.OK || again.Members != 1 {
		t.Errorf("the other replica's next turn: %+v, %v", again, err)
	}
}

// TestStrayOffer puts what is no offer among those of a flow that has none: an offer of
// the flow is granted all the same, or the ledger begins anew, and never waits for ever.
func TestStrayOffer(t *testing.T) {
	for _, stray := range []string{"\x1f", "", "x", "\xff", strings.Repeat("9", 400)} {
		for _, score := range []float64{-1e300, 0, 1e300} {
			t.Run(fmt.Sprintf("%.4q at %g", stray, score), func(t *testing.T) { testStrayOffer(t, stray, score) })
		}
	}
}

func testStrayOffer(t *testing.T, stray string, score float64) {
	server, clock := miniredis.RunT(t), storetest.NewClock()
	l := open("redis://"+server.Addr())(t, clock.Now)
	s := &store.Statement{Replica: "a", Incarnation: 1, Number: 1, Register: true, Members: 1, Bands: []store.Band{{Policy: "fair", CountsService: true, Limit: 1}}}
	r, err := l.Turn(t.Context(), s)
	if err != nil || r.Status != store.OK {
		t.Fatal(r, err)
	}
	if _, err := server.ZAdd(baseOf(server, l)+":flow:0:4:fair:f", score, stray); err != nil {
		t.Fatal(err)
	}
	s.Register, s.Generation = false, r.Generation
	s.Offers = []store.Offer{{Ticket: policies.TicketID{Ingress: "a", Seq: 1}, Flow: "f", Charge: 1, Weight: 1, Idle: true}}
	for s.Number < 3 { // it is offered, and repeated in full
		s.Number, s.Answered, s.Full = s.Number+1, s.Number, s.Number == 2
		r, err = l.Turn(t.Context(), s)
		if errors.Is(err, store.ErrUnavailable) && strings.Contains(err.Error(), "begins anew") || err == nil && len(r.Messages) > 0 {
			return
		}
	}
	t.Errorf("the offer was not granted, and nothing was noticed: %v, %v", r, err)
}
