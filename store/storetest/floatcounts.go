package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// noFloatInRecovery: before all have said what they hold, nothing is known to be free.
func noFloatInRecovery(t *testing.T, l store.Ledger, clock *Clock) {
	a := newParty(t, l, "a", counting(0, 8))
	a.members = 2
	wantFloat(t, "it registers", a.turn(float(0, 2)), 0, 0, 0)
	wantFloat(t, "the other has not", a.turn(float(0, 2)), 0, 0, 0)
	clock.Advance(Recovery)
	wantFloat(t, "it is not waited for any longer", a.turn(float(0, 2)), 2, 4, 0)
}

// noFloatOfTheLastEighth: who comes next would wait for it to be returned.
func noFloatOfTheLastEighth(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 32))
	a.turn(nil)
	a.bands[0].InFlight = 29
	wantFloat(t, "three of 32 are free", a.turn(float(0, 1)), 0, 0, 29)
	a.bands[0].InFlight = 28
	wantFloat(t, "four are", a.turn(float(0, 1)), 1, 2, 28)
}

// floatIsRecalledWhenTheLimitFalls: what is held is above it then.
func floatIsRecalledWhenTheLimitFalls(t *testing.T, l store.Ledger, _ *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, b := newPair(t, l, 8)
	a.turn(nil)
	b.turn(nil)
	wantFloat(t, "a", a.turn(float(0, 2)), 2, 4, 0)
	wakeups := l.Wakeups(ctx, "a")
	b.bands[0].Limit = 1
	b.turn(nil)
	select {
	case w := <-wakeups:
		if !w.Recall {
			t.Errorf("woken by %+v, want a recall", w)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a is not woken")
	}
}

// floatIsRecalledAtOnceAgain: what was given since the last recall is called back without a wait.
func floatIsRecalledAtOnceAgain(t *testing.T, l store.Ledger, _ *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, b := newPair(t, l, 8)
	a.turn(nil)
	b.turn(nil)
	wakeups := l.Wakeups(ctx, "a")
	for n := range 2 {
		wantFloat(t, "a", a.turn(float(0, 2)), 2, 4, 0)
		b.fill(6, 1, "f", func(*store.Statement) {})
		select {
		case w := <-wakeups:
			if !w.Recall {
				t.Errorf("woken by %+v, want a recall", w)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("a is not woken by recall %d", n+1)
		}
		a.turn(nil)
		b.turn(nil)
		b.finish(7)
		b.turn(nil)
	}
}

// floatOfTheLostIsInFlight: they may have spent it, for all that is known.
func floatOfTheLostIsInFlight(t *testing.T, l store.Ledger, clock *Clock) {
	a, b := newPair(t, l, 8)
	a.turn(nil)
	b.turn(nil)
	wantFloat(t, "a", a.turn(float(0, 2)), 2, 4, 0)
	clock.Advance(Lease / 2)
	b.turn(nil)
	clock.Advance(Lease/2 + time.Millisecond)
	r := b.turn(nil)
	if lost := []store.Lost{{Replica: "a", Held: 2, For: KeepLost}}; r.InFlight != 2 || !slices.Equal(r.Lost, lost) {
		t.Errorf("%d in flight, lost: %+v; want 2, and a with them", r.InFlight, r.Lost)
	}
}

// floatLiftsGroups: a group is back from idleness by what goes by float as well, and saved nothing.
func floatLiftsGroups(t *testing.T, l store.Ledger, _ *Clock) {
	ts := newTenants(t, l, counting(0, 8), "x=1")
	spent := func(group, flow string, delta float64) *store.Reply {
		return ts.state(func(s *store.Statement) {
			s.Settlements = []store.Settlement{{Flow: flow, Group: group, Policy: "fair", Delta: delta, Last: 1, Service: delta, Weight: 1}}
		})
	}
	spent("x", "early", 1)
	spent("", "many", 9) // V is 8
	r := spent("x", "late", 1)
	if len(r.Groups) != 1 || r.Groups[0].Counter != 9 {
		t.Errorf("groups %+v, want x at 9: it comes at V, which is 8", r.Groups)
	}
}

// permitsAreHalfOfWhatIsFree: of an endpoint, what was given to others counts, so that requests and permits
// there are never more than it takes.
func permitsAreHalfOfWhatIsFree(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 8)), newParty(t, l, "b", counting(0, 8))
	state := func(p *party, inFlight, wanted int64) *store.Reply {
		return p.turn(ofCapacity(8, wanting(inFlight, 8, 0, wanted)))
	}
	state(a, 0, 0)
	wantPermits(t, "a is alone", state(a, 0, 4), 4, 4)
	b.bands[0].InFlight = 3
	state(b, 3, 0)
	wantPermits(t, "of five that are not in flight four are a's", state(b, 3, 4), 0, 4)
}
