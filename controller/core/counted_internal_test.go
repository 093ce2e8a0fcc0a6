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
		generation uint64 // on its return
		known      bool
	}{
		"for less than its lease":  {time.Second, 1, true},
		"while the ledger went on": {4 * time.Second, 1, false},
		"as all others":            {4 * time.Second, 2, true},
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
			now = now.Add(c.away)
			turn(store.Register, c.generation)
			turn(store.OK, c.generation)
			known(c.known)
			now = now.Add(timings.HolderKnownAfter)
			turn(store.OK, c.generation)
			known(true)
		})
	}
}
