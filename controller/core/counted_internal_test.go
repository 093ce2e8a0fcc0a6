package core

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// TestCountedAnew has a replica be away from the ledger for longer than its lease. Where the ledger
// went on meanwhile, the others were told that there is one less: the replica is known to them only
// some time after its return, as one that has just come is. Where the ledger began anew, it waited
// for all.
func TestCountedAnew(t *testing.T) {
	timings := DefaultTimings(3 * time.Second)
	for what, c := range map[string]struct {
		away       time.Duration
		fails      bool   // its turns fail meanwhile, so that it registers on its return
		generation uint64 // then
		known      bool
	}{
		"stopped for less than its lease":  {time.Second, false, 1, true},
		"stopped while the ledger went on": {4 * time.Second, false, 1, false},
		"stopped as all others":            {4 * time.Second, false, 2, true},
		"cut off for less than its lease":  {time.Second, true, 1, true},
		"cut off while the ledger went on": {4 * time.Second, true, 1, false},
		"cut off as all others":            {4 * time.Second, true, 2, true},
	} {
		t.Run(what, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			e := &exchange{timings: &timings, jitter: rand.New(rand.NewPCG(1, 1))}
			turn := func(status store.Status, generation uint64) {
				s := e.begin(now)
				e.end(now, &store.Reply{Status: status, Applied: s.Number, Generation: generation}, nil)
			}
			known := func(want bool) {
				t.Helper()
				if got := e.counted(timings.HolderKnownAfter); got != want {
					t.Errorf("the others know of it: %v, want %v", got, want)
				}
			}
			turn(store.OK, 1)
			known(false)
			now = now.Add(timings.HolderKnownAfter)
			turn(store.OK, 1)
			known(true)
			if back := now.Add(c.away); c.fails {
				for ; now.Before(back); now = now.Add(100 * time.Millisecond) {
					e.begin(now)
					e.end(now, nil, store.ErrUnavailable)
				}
			} else {
				now = back
				turn(store.Register, c.generation)
			}
			turn(store.OK, c.generation)
			known(c.known)
			now = now.Add(timings.HolderKnownAfter)
			turn(store.OK, c.generation)
			known(true)
		})
	}
}

// TestCountedAnewAfterASleep has the process not run for longer than its lease while it registers.
func TestCountedAnewAfterASleep(t *testing.T) {
	timings := DefaultTimings(3 * time.Second)
	now := time.Unix(1_800_000_000, 0)
	e := &exchange{timings: &timings, jitter: rand.New(rand.NewPCG(1, 1))}
	turn := func(takes time.Duration) {
		s := e.begin(now)
		now = now.Add(takes)
		e.end(now, &store.Reply{Status: store.OK, Applied: s.Number, Generation: 1}, nil)
	}
	turn(0)
	now = now.Add(timings.HolderKnownAfter)
	turn(0)
	e.register.raise()
	turn(4 * time.Second)
	turn(0)
	if e.counted(timings.HolderKnownAfter) {
		t.Error("the others are believed to know of it at once")
	}
}
