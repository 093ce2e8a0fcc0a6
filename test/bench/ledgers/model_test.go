package main

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLimitHolds draws pools: whatever moves, no more is in flight than there are slots, and
// one ledger uses all of them.
func TestLimitHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := scenario{
			ledgers: rapid.IntRange(1, 8).Draw(t, "ledgers"),
			slots:   rapid.IntRange(8, 64).Draw(t, "slots"),
			flows:   rapid.IntRange(1, 32).Draw(t, "flows"),
			service: 10 * time.Millisecond,
			every:   time.Duration(rapid.IntRange(1, 100).Draw(t, "every")) * time.Millisecond,
			turn:    time.Duration(rapid.IntRange(0, 50).Draw(t, "turn")) * time.Millisecond,
			mean:    time.Duration(rapid.IntRange(0, 100).Draw(t, "mean")) * time.Millisecond,
			length:  time.Second,
			seed:    rapid.Uint64().Draw(t, "seed"),
		}
		if r := simulate(s); r.most > s.slots {
			t.Fatalf("%d in flight, of %d", r.most, s.slots)
		} else if s.ledgers == 1 && s.mean == 0 && r.used < 0.99 {
			t.Fatalf("one ledger uses %.3f of the slots", r.used)
		}
	})
}

// TestSlotsFollow has flows come and go: most slots are used all the same.
func TestSlotsFollow(t *testing.T) {
	r := simulate(scenario{
		ledgers: 4, slots: 512, flows: 256, service: 10 * time.Millisecond, every: 20 * time.Millisecond,
		turn: 2 * time.Millisecond, mean: time.Second, length: 5 * time.Second, seed: 1,
	})
	if r.used < 0.95 || r.gap(1) > 10 {
		t.Errorf("%.1f%% used, flows up to %.0f requests apart", 100*r.used, r.gap(1))
	}
}
