package shard

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
)

// TestGroupOffersWhatHasRoom wants a group with a maximum to offer as many tickets as have room,
// and a few more, whatever its weight, and the other to have the places that are left.
func TestGroupOffersWhatHasRoom(t *testing.T) {
	cfg := inGroups(32, map[string]float64{"a": 9, "a/x": 1, "b": 1})
	cfg.Maxima = map[string]Maximum{"a": {Requests: 6}}
	s := New(cfg)
	for n := range 40 {
		for i, flow := range []string{"a/x/f", "b/f"} {
			id := policies.TicketID{Ingress: fmt.Sprint(i), Seq: uint64(n + 1)}
			s.Add(Ticket{ID: id, Flow: policies.FlowKey{ID: flow, Priority: 1}, Bytes: 1, Arrival: time.Unix(int64(n), 0)}, time.Time{})
		}
	}
	offered := func(what string, a, b int) {
		t.Helper()
		s.Refill()
		got := map[string]int{}
		for it := range s.bands[0].top.standing() {
			got[it.flow.key.ID]++
		}
		if got["a/x/f"] != a || got["b/f"] != b {
			t.Errorf("%s: %v, want %d and %d", what, got, a, b)
		}
	}
	offered("nothing is known of its room", aFew, 32-aFew)
	s.GroupRoom("a", 6)
	offered("room for 6", 6+aFew, 32-6-aFew)
	if counted := s.Counted(); len(counted) != 1 || counted[0] != "a" {
		t.Errorf("groups that need room: %q", counted)
	}
	s.GroupRoom("a", -1)
	offered("one too many", aFew, 32-aFew)
	first := policies.TicketID{Ingress: "0", Seq: 40}
	if p, ok := s.Place(first); !ok || p.AtMaximum != "a" {
		t.Errorf("the place of a ticket in it: %+v", p)
	}
	s.CloseGroup("a", true)
	offered("none may go here", 0, 32)
	s.CloseGroup("a", false)
	if p, _ := s.Place(first); p.AtMaximum != "" {
		t.Errorf("open, it is at the maximum of %q", p.AtMaximum)
	}
	cfg.Maxima = nil
	s = s.Rebuilt(cfg, time.Time{})
	offered("without a maximum", 28, 4)
	if counted := s.Counted(); len(counted) > 0 {
		t.Errorf("groups that need room: %q", counted)
	}
}
