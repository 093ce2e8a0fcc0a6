package shard

import "testing"

// TestLostStatements has statements be lost one after the other, in each of which other tickets are
// offered, since those before went: what was stated and is gone is not kept for the next.
func TestLostStatements(t *testing.T) {
	s := New(testConfig(10))
	for n := range 1000 {
		if _, err := s.Add(ticket(n, "a", 0), start); err != nil {
			t.Fatal(err)
		}
		s.Refill()
		s.Repeat(func(Offer) {})
		s.Failed()
		s.Remove(ticket(n, "a", 0).ID, start)
	}
	if n := len(s.changed) + len(s.unanswered); n > 4 {
		t.Errorf("%d tickets are kept, and none waits", n)
	}
}
