package store_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// TestGuaranteeAccount has time pass for a class that is guaranteed something, and wants what it is owed then.
func TestGuaranteeAccount(t *testing.T) {
	for _, tc := range []struct {
		name     string
		slots    float64
		owed     float64 // before
		passes   time.Duration
		inFlight int64
		waits    bool
		wanted   bool
		want     float64
	}{
		{"what it lacked a minute ago is forgiven", 0.5, 0, 2 * time.Minute, 0, true, true, 0.5 * store.MostOwed},
		{"what it was owed goes as fast as it came while it does not wait", 0.5, 1, time.Second, 0, false, true, 0.5},
		{"one slot beyond the whole ones is held against it and no more", 1.5, 0, time.Second, 5, true, true, -0.5},
		{"nor that while nobody wants it", 1.5, 0, time.Second, 5, false, false, 0},
		{"what it has while nobody wants it pays what it was owed", 0.5, 1, time.Second, 1, false, false, 0.5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := store.Guarantee{Slots: tc.slots, Owed: tc.owed}
			if g.Pass(tc.passes, tc.inFlight, tc.waits, tc.wanted); g.Owed != tc.want {
				t.Errorf("owed %v, want %v", g.Owed, tc.want)
			}
		})
	}
}

// TestWholeSlotsFirst: a class that is short of whole slots goes before one that has its own, whatever that is owed.
func TestWholeSlotsFirst(t *testing.T) {
	short, owed := store.Guarantee{Slots: 1}, store.Guarantee{Slots: 1.5, Owed: 10}
	if !short.Before(0, &owed, 1) || owed.Before(1, &short, 0) {
		t.Error("the one that has its whole slot goes first")
	}
}
