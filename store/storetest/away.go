package storetest

import (
	"math"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// awayFor is for how long the replicas below are not heard of, which is less than a lease.
const awayFor = 2500 * time.Millisecond

// newAway is a replica that has all of a pool of four with a higher band, which wants more, and one at
// which a lower band waits, and that is heard of no more from now on. They take turns as steps pass.
func newAway(t *testing.T, l store.Ledger, high, low store.Band) (here, away *rivals) {
	here, away = newRivals(t, l, high, low), newRivals(t, l, high, low)
	away.party.id = "b"
	here.members, away.members = 2, 2
	here.turn(nil)
	away.turn(nil)
	here.turn(here.fill(10, 40))
	away.turn(away.fill(0, 40))
	want(t, "in flight", here.has()+", "+away.has(), "4 0, 0 0")
	return here, away
}

// wantOwed wants the lower band to be owed 1.5 slots for so long.
func (r *rivals) wantOwed(t *testing.T, expected time.Duration) {
	t.Helper()
	if got := r.turn(nil).Bands[1].Owed; math.Abs(got-1.5*expected.Seconds()) > 1e-6 {
		t.Errorf("owed %g slot-seconds of 1.5 slots, want those of %v", got, expected)
	}
}

// awayIsOwedNothing: what waits only at a replica that is not heard of, which serves it by itself, if
// at all, is owed no guarantee; and what waits at another as well is.
func awayIsOwedNothing(t *testing.T, l store.Ledger, clock *Clock) {
	here, away := newAway(t, l, counting(10, 4), guaranteed(0, 4, 1.5))
	here.lasts(clock, store.HeardWithin)
	here.wantOwed(t, store.HeardWithin)
	here.lasts(clock, awayFor-store.HeardWithin)
	here.wantOwed(t, store.HeardWithin)
	away.turn(nil)
	clock.Advance(100 * time.Millisecond)
	away.turn(nil) // it is back
	here.wantOwed(t, store.HeardWithin+100*time.Millisecond)
	here.lasts(clock, awayFor)
	here.wantOwed(t, 2*store.HeardWithin+100*time.Millisecond)
	here.turn(here.fill(0, 1))
	clock.Advance(100 * time.Millisecond)
	here.wantOwed(t, 2*store.HeardWithin+200*time.Millisecond)
}

// farIsNotAway: a replica whose turns take longer than that is heard of all the same, and is away once it has
// missed one: where the next should have come.
func farIsNotAway(t *testing.T, l store.Ledger, clock *Clock) {
	const pace = 700 * time.Millisecond
	here, far := newAway(t, l, counting(10, 4), guaranteed(0, 4, 1.5))
	far.pace = pace
	far.turn(nil)
	const turns = 5
	for range turns {
		clock.Advance(pace)
		far.turn(nil)
		here.turn(nil)
	}
	here.wantOwed(t, turns*pace)
	here.lasts(clock, store.HeardWithin)
	here.turn(nil)
	clock.Advance(pace)
	here.wantOwed(t, (turns+1)*pace+store.HeardWithin)
	clock.Advance(time.Millisecond)
	here.wantOwed(t, (turns+1)*pace+store.HeardWithin)
}

// awayIsNotBehind: nor is it left behind others by its weight.
func awayIsNotBehind(t *testing.T, l store.Ledger, clock *Clock) {
	here, away := newAway(t, l, weighed(10, 4, 1), weighed(0, 4, 1))
	here.lasts(clock, awayFor)
	here.turn(nil)
	starved := 0
	for range 50 {
		here.bands[0].InFlight, away.bands[1].InFlight = 0, 0
		away.turn(away.fill(0, 4))
		here.turn(here.fill(10, 4))
		away.turn(nil)
		if clock.Advance(100 * time.Millisecond); here.bands[0].InFlight == 0 {
			starved++
		}
	}
	if most := int(store.HeardWithin/(100*time.Millisecond)) + 1; starved > most {
		t.Errorf("after %v the other had nothing for %d tenths of a second, want %d at most", awayFor, starved, most)
	}
}

// awayKeepsItsDebt: of a class that waits only at a replica that is not heard of the accounts stay as they
// are, also where it is owed more than its guarantee, which is lower now, comes to in a minute.
func awayKeepsItsDebt(t *testing.T, l store.Ledger, clock *Clock) {
	here, away := newAway(t, l, counting(10, 4), guaranteed(0, 4, 1.5))
	for range 80 {
		clock.Advance(100 * time.Millisecond)
		here.turn(nil)
		away.turn(nil)
	}
	here.lasts(clock, store.HeardWithin)
	here.bands[1].Guaranteed = 0.1
	before := here.turn(nil).Bands[1] // what passed until now counts by 1.5
	clock.Advance(100 * time.Millisecond)
	after := here.turn(nil).Bands[1]
	if before.Guaranteed != 0.1 || before.Owed < 10 || after.Owed != before.Owed {
		t.Errorf("owed %v of %v slots, and %v after 100 ms away, want as much", before.Owed, before.Guaranteed, after.Owed)
	}
}
