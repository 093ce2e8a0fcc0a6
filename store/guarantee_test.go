package store_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/store"
)

const (
	step    = 10 * time.Millisecond
	longest = 2 * time.Second // that a request takes
)

// crowd is a pool in which a class with a guarantee stands beside a flood that takes every
// slot that is free.
type crowd struct {
	rng   *rand.Rand
	slots int
	own   []time.Duration // when the class's requests end
	flood []time.Duration // when the flood's do
	g     store.Guarantee
}

func newCrowd(t *rapid.T) *crowd {
	slots := rapid.IntRange(1, 12).Draw(t, "slots")
	part := rapid.Float64Range(0.01, 1).Draw(t, "part")
	seed := rapid.Uint64().Draw(t, "seed")
	return &crowd{rng: rand.New(rand.NewPCG(seed, 0)), slots: slots, g: store.Guarantee{Slots: part * float64(slots)}}
}

// pass lets a step pass, and returns how many slots the class had.
func (c *crowd) pass(now time.Duration, waits bool) float64 {
	over := func(at time.Duration) bool { return at <= now }
	c.own, c.flood = slices.DeleteFunc(c.own, over), slices.DeleteFunc(c.flood, over)
	for len(c.own)+len(c.flood) < c.slots {
		length := step * time.Duration(1+c.rng.Int64N(int64(longest/step)))
		if held := int64(len(c.own)); waits && c.g.Room(held) > 0 {
			c.g.Granted(held, true)
			c.own = append(c.own, now+length)
		} else {
			c.flood = append(c.flood, now+length)
		}
	}
	c.g.Pass(step, int64(len(c.own)), waits, true)
	return float64(len(c.own))
}

// TestGuarantee wants a class to get its guarantee over every interval in which it waits,
// less one request of its own and what it lacks while the requests that ran when it came
// end; and no more than that while others want the pool.
func TestGuarantee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCrowd(t)
		bound := longest.Seconds()*(1+c.g.Slots) + 0.1
		var short, over, got, want float64
		for now := time.Duration(0); now < 60*time.Second; now += step {
			waits := c.rng.IntN(1000) > 0
			lacked := (c.g.Slots - c.pass(now, waits)) * step.Seconds()
			got, want = got-lacked, want+c.g.Slots*step.Seconds()
			short, over = max(0, short+lacked), max(0, over-lacked)
			if !waits {
				short = 0
			}
			if short > bound || over > bound {
				t.Fatalf("at %v it lacks %.2f slot-seconds of %.2f slots or is %.2f ahead, %.2f may be: %+v", now, short, c.g.Slots, over, bound, c.g)
			}
		}
	})
}

// TestSmallGuarantee wants a guarantee below one slot to hold as an average over ten
// requests.
func TestSmallGuarantee(t *testing.T) {
	g := store.Guarantee{Slots: 0.16}
	held, got := int64(0), 0.0
	for now := time.Duration(0); now < 10*time.Minute; now += step {
		if now%time.Second == 0 { // every request takes one
			held = 0
			if g.Room(held) > 0 {
				g.Granted(held, true)
				held = 1
			}
		}
		got += float64(held) * step.Seconds()
		if now > 10*time.Second {
			if least := 0.16*now.Seconds() - 1; got < least || got > least+2 {
				t.Fatalf("after %v it got %.2f slot-seconds, want %.2f within one request", now, got, least+1)
			}
		}
		g.Pass(step, held, true, true)
	}
}

// TestIdlingSavesNothing lets a class idle for an hour and take every slot for another, and
// wants neither to make a difference to what is due to it.
func TestIdlingSavesNothing(t *testing.T) {
	fresh := store.Guarantee{Slots: 2.5}
	idle, greedy := fresh, fresh
	idle.Pass(time.Hour, 0, false, true)
	for n := range int64(8) {
		greedy.Granted(n, false)
	}
	greedy.Pass(time.Hour, 8, true, true)
	for name, g := range map[string]store.Guarantee{"idle": idle, "greedy": greedy} {
		for inFlight := range int64(5) {
			if got, want := g.Room(inFlight), fresh.Room(inFlight); got != want {
				t.Errorf("%s: %d are due with %d in flight, want %d", name, got, inFlight, want)
			}
		}
	}
}

// TestBelow wants the time to be counted for which a class was kept from its guarantee, and
// no time in which it had what it was due.
func TestBelow(t *testing.T) {
	kept := store.Guarantee{Slots: 2}
	for range 30 {
		kept.Pass(time.Second, 0, true, true)
	}
	if got := kept.Below; got != 20 {
		t.Errorf("after 30 s without a slot it was below for %v s, want 20", got)
	}
	served := store.Guarantee{Slots: 2}
	for range 3600 {
		served.Pass(time.Second, 2, true, true)
	}
	if served.Below != 0 {
		t.Errorf("with its slots it was below for %v s", served.Below)
	}
}
