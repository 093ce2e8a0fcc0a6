package policytest

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// Bands checks that the policies which make returns keep the contract of
// [policies.BandPolicy].
func Bands(t *testing.T, make func() policies.BandPolicy) {
	t.Helper()
	run(t, BandChecks(), make)
}

// BandChecks returns the suite's checks.
func BandChecks() []Check[policies.BandPolicy] {
	return []Check[policies.BandPolicy]{
		named[policies.BandPolicy](),
		{"WeightsAreInRange", weightsInRange},
		{"AllReplicasAgree", weightsAgree},
		{"NothingIsRemembered", func(t T, make func() policies.BandPolicy) {
			t.Helper()
			used := make()
			eachWeight(used, func(int, float64, float64) {})
			unchanged(t, make(), used)
		}},
		{"ServedAsItSays", servedByWeight},
	}
}

// eachWeight asks a policy for the weights of priorities.
func eachWeight(p policies.BandPolicy, each func(priority int, configured, weight float64)) {
	for _, priority := range []int{math.MaxInt32, 1000, 10, 1, 0, -1, -10, math.MinInt32} {
		for _, configured := range []float64{1, policies.LeastBandWeight, 0.001, 0.5, 3, policies.MostBandWeight} {
			each(priority, configured, p.BandWeight(priority, configured))
		}
	}
}

func weightsInRange(t T, make func() policies.BandPolicy) {
	t.Helper()
	eachWeight(make(), func(priority int, configured, w float64) {
		if !policies.ValidBandWeight(w) {
			t.Errorf("priority %d of weight %v: %v; it must be 0, or from %g to %g", priority, configured, w, policies.LeastBandWeight, policies.MostBandWeight)
		}
	})
}

// weightsAgree wants two policies that were made alike to say the same, in any order.
func weightsAgree(t T, make func() policies.BandPolicy) {
	t.Helper()
	p, q := make(), make()
	eachWeight(q, func(int, float64, float64) {}) // which it may not remember
	eachWeight(p, func(priority int, configured, w float64) {
		if other := q.BandWeight(priority, configured); other != w {
			t.Errorf("priority %d of weight %v: %v, and %v from one that was made alike", priority, configured, w, other)
		}
	})
}

// servedByWeight has three priorities wait for long, and wants each to have what its weight
// says of what those that share have: nothing below one that is strict.
func servedByWeight(t T, make func() policies.BandPolicy) {
	t.Helper()
	c := newContest(make())
	had, want := c.run(5*time.Minute), c.entitled()
	for i := range c.bands {
		if math.Abs(had[i]-want[i]) > 0.02 {
			t.Errorf("priority %d had %.3f of the pool's time, by the weights %.3f", c.bands[i].Priority, had[i], want[i])
		}
	}
}

// contest is a replica at a ledger with three priorities that always wait for twelve slots,
// the highest first, of requests that differ in length.
type contest struct {
	bands     []store.Band
	statement store.Statement
	running   []contestant
	waiting   map[int]int // offers that stand, by priority
	draw      *rand.Rand
}

// contestant is a request in flight.
type contestant struct {
	priority int
	left     time.Duration
}

func newContest(p policies.BandPolicy) *contest {
	c := &contest{waiting: make(map[int]int), draw: rand.New(rand.NewPCG(15, 16))}
	for _, b := range []struct {
		priority   int
		configured float64
	}{{10, 3}, {0, 2}, {-10, 1}} {
		c.bands = append(c.bands, store.Band{
			Priority: b.priority, Policy: "fair", CountsService: true, LiftsIdle: true, Limit: 12,
			Weight: policies.BandWeight(p, b.priority, b.configured),
		})
	}
	c.statement = store.Statement{Replica: "replica", Incarnation: 1, Register: true, Longest: 2 * time.Second}
	return c
}

// run plays for so long, and returns what part of the pool's time each had.
func (c *contest) run(long time.Duration) []float64 {
	const step = 50 * time.Millisecond
	now := epoch
	ledger := memory.New(memory.Config{Clock: func() time.Time { return now }})
	had := make([]float64, len(c.bands))
	for ; now.Before(epoch.Add(long)); now = now.Add(step) {
		c.turn(ledger)
		for i := range c.running {
			r := &c.running[i]
			r.left -= step
			had[c.at(r.priority)] += step.Seconds() / (12 * long.Seconds())
		}
		c.running = slices.DeleteFunc(c.running, func(r contestant) bool { return r.left <= 0 })
	}
	return had
}

// turn offers what is to wait, and lets go what is granted.
func (c *contest) turn(ledger store.Ledger) {
	s := &c.statement
	s.Number++
	s.Offers = nil
	for i := range c.bands {
		b := &c.bands[i]
		b.InFlight = 0
		for ; c.waiting[b.Priority] < 13; c.waiting[b.Priority]++ {
			seq := s.Number*1000 + uint64(len(s.Offers))
			s.Offers = append(s.Offers, store.Offer{
				Ticket: policies.TicketID{Ingress: s.Replica, Seq: seq}, Flow: "flow", Priority: b.Priority, Charge: 1, Score: float64(seq),
			})
		}
	}
	for i := range c.running {
		c.bands[c.at(c.running[i].priority)].InFlight++
	}
	s.Bands = slices.Clone(c.bands)
	reply, err := ledger.Turn(context.Background(), s)
	if err != nil {
		panic(err) // what is stated is plausible
	}
	s.Register, s.Answered, s.Generation = false, s.Number, reply.Generation
	for i := range reply.Messages {
		m := &reply.Messages[i]
		s.ReadUpTo = m.Number
		if m.Kind&store.Granted != 0 {
			c.waiting[m.Priority]--
			c.running = append(c.running, contestant{m.Priority, time.Duration(1+c.draw.IntN(40)) * 50 * time.Millisecond})
		}
	}
}

func (c *contest) at(priority int) int {
	return slices.IndexFunc(c.bands, func(b store.Band) bool { return b.Priority == priority })
}

// entitled is the part of the pool that each should have.
func (c *contest) entitled() []float64 {
	parts, sum, n := make([]float64, len(c.bands)), 0.0, 0
	for n < len(c.bands) && c.bands[n].Weight > 0 {
		sum += c.bands[n].Weight
		n++
	}
	for i := range n {
		parts[i] = c.bands[i].Weight / sum
	}
	if n == 0 {
		parts[0] = 1
	}
	return parts
}
