package shard

import (
	"fmt"
	"testing"

	"github.com/weirflow/weir/policies"
)

// TestSharersTakeTurns has one of those that share a flow ask for much, and others come
// while it is served.
func TestSharersTakeTurns(t *testing.T) {
	s := New(testConfig(100))
	add := func(n int, who string) {
		tk := ticket(n, "shared", 0)
		tk.Sharer = who
		if _, err := s.Add(tk, start); err != nil {
			t.Fatal(err)
		}
	}
	var went []string
	serve := func() {
		s.Refill()
		var first *item
		for it := range s.items.All() {
			if it.offered && (first == nil || it.before(first)) {
				first = it
			}
		}
		went = append(went, fmt.Sprint(first.Sharer, first.ID.Seq))
		s.Taken(first.ID, 0, start)
	}
	for n := range 8 {
		add(n, "a")
	}
	add(10, "b")
	serve() // a0 and b10 are the first round
	add(11, "c")
	add(12, "d")
	for range 3 {
		serve()
	}
	add(13, "e") // behind c, d and a's second, and before its third
	s.Remove(policies.TicketID{Ingress: "r", Seq: 2}, start)
	for range 4 {
		serve()
	}
	if got, want := fmt.Sprint(went), "[a0 b10 a1 c11 d12 e13 a3 a4]"; got != want {
		t.Errorf("went %s, want %s", got, want)
	}
	for s.Len() > 0 {
		serve()
	}
	if f := s.bands[0].flows["shared"]; len(f.turns.waits)+len(f.turns.last)+len(f.turns.places) > 0 {
		t.Errorf("nobody waits, and of them is left: %+v", f.turns)
	}
}
