package shard

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
)

// TestFloorsAreOffered wants a few tickets of each group that is guaranteed something before
// the ledger, however little its weight is, beside the places of the rest; the first of all
// groups is the best still, and what falls behind gives its place back.
func TestFloorsAreOffered(t *testing.T) {
	cfg := inGroups(32, map[string]float64{"big": 99, "small": 0.01, "small/x": 1, "small/y": 0.01})
	cfg.Guaranteed = map[string]float64{"small/y": 0.3}
	s := New(cfg)
	flows := []string{"big/f", "small/x/f", "small/y/f"}
	id := func(flow, n int) policies.TicketID {
		return policies.TicketID{Ingress: fmt.Sprint(flow), Seq: uint64(n)}
	}
	for n := range 60 {
		for i, flow := range flows {
			s.Add(Ticket{ID: id(i, n+1), Flow: policies.FlowKey{ID: flow, Priority: 1}, Bytes: 1, Arrival: time.Unix(int64(n), 0)}, time.Time{})
		}
	}
	offered := func(what string, want ...int) {
		t.Helper()
		s.Refill()
		got := map[string]int{}
		for it := range s.bands[0].top.standing() {
			got[it.flow.key.ID]++
		}
		for i, flow := range flows {
			if got[flow] != want[i] {
				t.Errorf("%s: %v, want %v", what, got, want)
				return
			}
		}
	}
	offered("by weight, and the guarantee", 32, 0, aFew)
	if counted := s.Counted(); len(counted) != 1 || counted[0] != "small/y" {
		t.Errorf("groups that are counted: %q", counted)
	}
	if b, _ := s.Band(1); !b.Waits("small/y") || b.Waits("none") {
		t.Error("small/y waits, and no group that is not there")
	} else if best, _ := b.Best("small/y"); best.Flow.ID != "small/y/f" {
		t.Errorf("the best of small/y is of %q", best.Flow.ID)
	}
	s.Taken(id(2, 1), 0, time.Time{})
	offered("one of its tickets went", 32, 0, aFew)
	cfg.Guaranteed = nil
	s = s.Rebuilt(cfg, time.Time{})
	offered("without a guarantee", 32, 0, 0)
}

// TestFloorBesideAMaximum wants tickets of the others offered, too, of a group at its maximum in
// which one is guaranteed something: they would never go.
func TestFloorBesideAMaximum(t *testing.T) {
	cfg := inGroups(32, map[string]float64{"a": 1, "a/x": 1, "a/y": 1})
	cfg.Maxima = map[string]Maximum{"a": {Requests: 2}}
	cfg.Guaranteed = map[string]float64{"a/y": 0.3}
	s := New(cfg)
	for n := range 20 {
		for i, flow := range []string{"a/y/f", "a/x/f"} {
			id := policies.TicketID{Ingress: fmt.Sprint(i), Seq: uint64(n + 1)}
			s.Add(Ticket{ID: id, Flow: policies.FlowKey{ID: flow, Priority: 1}, Arrival: time.Unix(int64(n), 0)}, time.Time{})
			s.GroupRoom("a", 0)
			s.Refill()
		}
	}
	if b, _ := s.Band(1); !b.Waits("a/x") || !b.Waits("a/y") {
		t.Errorf("of a/x offered: %v, of a/y, which is guaranteed something: %v", b.Waits("a/x"), b.Waits("a/y"))
	}
}

// TestFloorInAClosedGroup wants nothing offered of a group that is guaranteed something while it
// is in one that is closed: a replica that decides by itself would come upon it without end.
func TestFloorInAClosedGroup(t *testing.T) {
	cfg := inGroups(32, map[string]float64{"a": 1, "a/x": 1})
	cfg.Maxima = map[string]Maximum{"a": {Requests: 1}}
	cfg.Guaranteed = map[string]float64{"a/x": 0.1}
	s := New(cfg)
	s.Add(Ticket{ID: policies.TicketID{Ingress: "i", Seq: 1}, Flow: policies.FlowKey{ID: "a/x/f", Priority: 1}}, time.Time{})
	for _, closed := range []bool{false, true, false} {
		s.CloseGroup("a", closed)
		s.Refill()
		if b, _ := s.Band(1); b.Waits("a/x") == closed {
			t.Errorf("closed is %v, and so is whether a ticket in it is offered", closed)
		}
	}
}
