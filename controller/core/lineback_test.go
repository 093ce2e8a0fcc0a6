package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// newFull is a replica at a full pool of four, where some of eight that wait stand in line.
func newFull(t *testing.T) *spender {
	t.Helper()
	s := &spender{t: t, now: time.Unix(1_800_000_000, 0)}
	s.core, s.ledger, _ = withLedger(&s.now, roundRobin())
	s.core.SetPool(s.now, core.Pool{Endpoints: 1, Limit: 4})
	s.core.SetEndpoints(s.now, []core.Endpoint{{Address: "x", Capacity: 4}})
	s.ask(0)
	s.exchange()
	s.now = s.now.Add(2 * time.Millisecond)
	s.core.Release(s.now, 1, core.Usage{})
	for range 8 {
		s.ask(0)
	}
	for range 2 {
		s.pass(25 * time.Millisecond)
		s.exchange()
	}
	if s.core.InLine() == 0 || s.core.InFlight() != 4 {
		t.Fatalf("%d in line and %d in flight, want some and 4", s.core.InLine(), s.core.InFlight())
	}
	return s
}

// TestRegisteringTakesNoLine: who stands in line waits in a queue again when the ledger has forgotten, and the
// statement says that nobody stands there.
func TestRegisteringTakesNoLine(t *testing.T) {
	s := newFull(t)
	s.turn(25 * time.Millisecond)
	s.core.TurnDone(s.now, &store.Reply{Status: store.Register, Generation: 7, Now: s.now}, nil)
	st := s.core.Ready(s.now).Turn
	if st == nil || !st.Register || st.InLine != 0 || len(st.Offers) != 4 || s.core.InLine() != 0 {
		t.Errorf("%d in line, and states %+v; want that all four are offered", s.core.InLine(), st)
	}
}

// TestLineIsCalledBack: as soon as the ledger wants a line back, nobody goes from it, and with the reply that
// says so those that stand there wait in queues again.
func TestLineIsCalledBack(t *testing.T) {
	s := newFull(t)
	lined := s.core.InLine()
	s.core.Wake(s.now, &store.Wakeup{Incarnation: 1, Registered: 1, Recall: true})
	s.core.Release(s.now, 2, core.Usage{})
	ready := s.core.Ready(s.now)
	if len(ready.Decisions) != 0 || ready.Turn == nil || s.core.InLine() != lined {
		t.Fatalf("%+v with %d in line, want that nobody goes, and a turn", ready, s.core.InLine())
	}
	s.core.TurnDone(s.now, &store.Reply{Applied: ready.Turn.Number, Generation: ready.Turn.Generation, Now: s.now, LineRecalled: true}, nil)
	ready = s.core.Ready(s.now)
	if s.core.InLine() != 0 || len(ready.Decisions) != 0 || ready.Turn == nil || len(ready.Turn.Offers) == 0 {
		t.Errorf("%d in line, %+v; want none, and that they are offered", s.core.InLine(), ready)
	}
	returned := 0.0
	for _, settled := range ready.Turn.Settlements {
		returned += settled.Delta
	}
	if returned != float64(-lined) {
		t.Errorf("%v of the charges of %d that stood there go back, want all", returned, lined)
	}
}

// TestLinedTwice: a place in line for who does not wait, or has one, is charged to nobody.
func TestLinedTwice(t *testing.T) {
	s := newFull(t)
	lined := s.core.InLine()
	place := func(seq uint64) store.Message {
		return store.Message{Kind: store.Lined, Ticket: policies.TicketID{Ingress: "me", Seq: seq}, Policy: "rr", Flow: "a", Charge: 1}
	}
	first, nobody := place(6), place(99)
	first.Number, nobody.Number = s.read+1, s.read+2
	s.core.Wake(s.now, &store.Wakeup{Incarnation: 1, Registered: 1, Messages: []store.Message{first, nobody}})
	next := s.turn(25 * time.Millisecond)
	if s.core.InLine() != lined || len(next.Settlements) != 1 || next.Settlements[0].Delta != -2 {
		t.Errorf("%d in line, settles %+v; want %d, and that both charges go back", s.core.InLine(), next.Settlements, lined)
	}
}

// TestGrantForNobodyInLine: a grant for the first in line, where nobody stands, is returned at once: the load
// that the ledger counts for it is stated again.
func TestGrantForNobodyInLine(t *testing.T) {
	s := newSpender(t, roundRobin(), core.Endpoint{Address: "x", Capacity: 16})
	st := s.turn(time.Second)
	reply := *s.answer(st)
	reply.Messages = []store.Message{{Number: st.ReadUpTo + 1, Kind: store.Granted, Endpoint: "x"}}
	s.core.TurnDone(s.now, &reply, nil)
	ready := s.core.Ready(s.now)
	if len(ready.Decisions) != 0 || ready.Turn == nil || len(ready.Turn.Loads) != 1 {
		t.Errorf("%+v, want a turn that states x", ready)
	}
}
