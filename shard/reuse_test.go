package shard

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/policies"
)

// TestReused has tickets come and go in every way, between turns and during one, and wants none of
// the items that are kept for others to be anywhere else, and each to be kept once.
func TestReused(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := testConfig(rapid.Int64Range(5, 1000).Draw(rt, "cap"))
		cfg.OffersPerBand = 1 // so that others often take the place
		s, underWay := New(cfg), false
		ignoreOffer, ignoreID := func(Offer) {}, func(policies.TicketID) {}
		for n := range rapid.IntRange(1, 150).Draw(rt, "steps") {
			id := policies.TicketID{Ingress: "r", Seq: uint64(max(0, n-rapid.IntRange(1, 8).Draw(rt, "ticket")))}
			switch what := rapid.IntRange(0, 11).Draw(rt, "what"); {
			case what <= 4:
				s.Add(ticket(n, fmt.Sprint("flow-", n%3), 0), start)
			case what == 5:
				s.Remove(id, start)
			case what == 6:
				s.Taken(id, float64(n), start)
			case what == 7:
				s.Dispatched(id, start)
			case what == 8:
				s.Dropped(id, start)
			case underWay:
				if underWay = false; what == 9 {
					s.Failed()
				} else {
					s.Answered()
				}
			default:
				s.Refill()
				if underWay = true; what == 9 {
					s.Repeat(ignoreOffer)
				} else {
					s.Changes(ignoreOffer, ignoreID)
				}
			}
			spare := map[*item]bool{}
			for it := range s.spare.All() {
				if spare[it] || *it != (item{}) {
					rt.Fatalf("step %d: an item is kept twice, or is in use", n)
				}
				spare[it] = true
			}
			for part, items := range parts(s) {
				for _, it := range items {
					if spare[it] {
						rt.Fatalf("step %d: %s has an item that is kept for another ticket", n, part)
					}
				}
			}
		}
	})
}

// parts is the items by where they are.
func parts(s *Set) map[string][]*item {
	parts := map[string][]*item{"changed": s.changed, "unanswered": s.unanswered}
	for it := range s.items.All() {
		parts["items"] = append(parts["items"], it)
	}
	for _, bd := range s.bands {
		parts["line"] = append(parts["line"], bd.line.items...)
		parts["group"] = append(parts["group"], bd.top.offered.Items()...)
		for _, f := range bd.flows {
			parts["waiting"] = append(parts["waiting"], f.waiting.Items()...)
			parts["offered"] = append(parts["offered"], f.offered...)
			if f.newest != nil {
				parts["newest"] = append(parts["newest"], f.newest)
			}
		}
	}
	return parts
}

// TestReusedOnceAnswered has the ledger take a ticket whose offer the turn under way withdraws.
func TestReusedOnceAnswered(t *testing.T) {
	cfg := testConfig(1000)
	cfg.OffersPerBand = 1
	s := New(cfg)
	turn := func() {
		s.Refill()
		s.Changes(func(Offer) {}, func(policies.TicketID) {})
	}
	s.Add(ticket(1, "a", 0), start)
	turn()
	s.Answered()
	s.Add(ticket(2, "b", 0), start)
	s.Charged(ticket(1, "a", 0).Flow, 10, 0) // so that b's goes before the one that stands
	turn()
	kept := s.spare.Len()
	if s.Taken(ticket(1, "a", 0).ID, 11, start); s.spare.Len() != kept {
		t.Error("the item is kept for another ticket before it was answered what was said of it")
	}
	if s.Answered(); s.spare.Len() != kept+1 {
		t.Errorf("%d items are kept for others, want %d", s.spare.Len(), kept+1)
	}
}
