package store_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/store"
)

// mixed is a pool whose bands share by weights, and go for its slots as a ledger lets them.
type mixed struct {
	rng      *rand.Rand
	slots    int
	bands    []store.Weighing
	running  [][]time.Duration // by band, when requests end
	foreseen time.Duration
}

func newMixed(t *rapid.T) *mixed {
	seed := rapid.Uint64().Draw(t, "seed")
	m := &mixed{rng: rand.New(rand.NewPCG(seed, 0)), slots: rapid.IntRange(1, 12).Draw(t, "slots")}
	m.foreseen = store.Foresight(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
	for range rapid.IntRange(2, 4).Draw(t, "bands") {
		weight := rapid.SampledFrom([]float64{0.1, 1, 2, 3, 10}).Draw(t, "weight")
		m.bands = append(m.bands, store.Weighing{Weighed: &store.Weighed{Weight: weight}, Fits: true})
	}
	m.running = make([][]time.Duration, len(m.bands))
	return m
}

// pass lets a step pass. The first two bands wait throughout, others now and then.
func (m *mixed) pass(now time.Duration) {
	taken := 0
	for i := range m.bands {
		m.running[i] = slices.DeleteFunc(m.running[i], func(at time.Duration) bool { return at <= now })
		m.bands[i].InFlight = int64(len(m.running[i]))
		m.bands[i].Waits = i < 2 || m.rng.IntN(100) == 0 != m.bands[i].Waits
		taken += len(m.running[i])
	}
	for ; taken < m.slots; taken++ {
		at := store.NextByWeight(m.bands, m.foreseen)
		length := step * time.Duration(1+m.rng.Int64N(int64(longest/step)))
		m.running[at] = append(m.running[at], now+length)
		m.bands[at].InFlight++
	}
	store.PassWeighed(m.bands, step)
}

// TestWeights wants two bands that wait throughout to have had slot-time by their weights, at
// all times within the bound that docs/shares.md derives; and so over every interval within
// twice that.
func TestWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMixed(t)
		a, b := &m.bands[0], &m.bands[1]
		ahead := func(x, behind *store.Weighing) float64 {
			return float64(m.slots) * (m.foreseen.Seconds()/behind.Weight + (longest+step).Seconds()/x.Weight)
		}
		var hadA, hadB float64
		for now := time.Duration(0); now < 60*time.Second; now += step {
			m.pass(now)
			hadA, hadB = hadA+float64(a.InFlight)*step.Seconds(), hadB+float64(b.InFlight)*step.Seconds()
			if by := hadA/a.Weight - hadB/b.Weight; by > ahead(a, b) || -by > ahead(b, a) {
				t.Fatalf("at %v the first, of weight %g, had %.2f slot-seconds, and the second, of weight %g, %.2f", now, a.Weight, hadA, b.Weight, hadB)
			}
		}
	})
}

// TestWeightsSaveNothing lets a band have all of the pool while nobody else waits, and another
// idle beside two that wait, and wants neither to be held against or for them.
func TestWeightsSaveNothing(t *testing.T) {
	of := func(inFlight int64, waits bool) store.Weighing {
		return store.Weighing{Weighed: &store.Weighed{Weight: 1}, InFlight: inFlight, Waits: waits, Fits: true}
	}
	alone := []store.Weighing{of(8, true), of(0, false)}
	store.PassWeighed(alone, time.Hour)
	nobody := []store.Weighing{of(8, false), of(0, false)}
	store.PassWeighed(nobody, time.Hour)
	idle := []store.Weighing{of(4, true), of(4, true), of(0, false)}
	store.PassWeighed(idle, time.Hour)
	for _, bands := range [][]store.Weighing{alone, nobody, idle} {
		for i := range bands {
			if bands[i].Ahead != 0 {
				t.Errorf("band %d of %d is %v ahead, want 0", i, len(bands), bands[i].Ahead)
			}
		}
	}
}

// TestWeightsBetweenStrict wants a band without a weight to go before those below it, and to
// part those that share.
func TestWeightsBetweenStrict(t *testing.T) {
	of := func(weight, ahead float64, waits, fits bool) store.Weighing {
		return store.Weighing{Weighed: &store.Weighed{Weight: weight, Ahead: ahead}, Waits: waits, Fits: fits}
	}
	for name, tc := range map[string]struct {
		bands []store.Weighing
		want  int
	}{
		"none waits":                           {[]store.Weighing{of(1, 0, false, true), of(0, 0, false, true)}, -1},
		"the least ahead":                      {[]store.Weighing{of(1, 2, true, true), of(1, 1, true, true)}, 1},
		"of equals the higher":                 {[]store.Weighing{of(1, 1, true, true), of(1, 1, true, true)}, 0},
		"not beyond one that shares nothing":   {[]store.Weighing{of(1, 2, true, true), of(0, 0, false, true), of(1, 0, true, true)}, 0},
		"one that shares nothing goes first":   {[]store.Weighing{of(1, 0, false, true), of(0, 9, true, true), of(1, 0, true, true)}, 1},
		"one that has no room holds up none":   {[]store.Weighing{of(1, 0, true, false), of(1, 5, true, true)}, 1},
		"where none has room, none below them": {[]store.Weighing{of(1, 0, true, false), of(0, 0, true, true)}, 0},
	} {
		if got := store.NextByWeight(tc.bands, time.Second); got != tc.want {
			t.Errorf("%s: band %d goes next, want %d", name, got, tc.want)
		}
	}
	if got := store.Foresight(0); got != store.LeastForesight {
		t.Errorf("the foresight where no request has ended is %v, want %v", got, store.LeastForesight)
	}
}
