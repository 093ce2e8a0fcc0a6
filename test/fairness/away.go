package fairness

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/weirflow/weir/store"
)

// nearby is how far a ledger is that is in the same network.
const nearby = 300 * time.Microsecond

// away is a replica's end of a ledger some way off: a turn takes a round trip, half of it before the
// ledger is asked, and a wake-up takes half of one. Each way takes a tenth more or less, drawn from a
// seed: no two statements reach the ledger at the same instant, so that in simulated time a run hardly
// differs from the next.
type away struct {
	store.Ledger
	roundTrip time.Duration
	seed      uint64
}

// atDistance returns as many replicas' ends of a ledger.
func atDistance(l store.Ledger, roundTrip time.Duration, replicas int) []store.Ledger {
	ends := make([]store.Ledger, replicas)
	for i := range ends {
		ends[i] = &away{Ledger: l, roundTrip: roundTrip, seed: 2 * uint64(i)} //nolint:gosec // not negative
	}
	return ends
}

// Inline implements [store.Inline]: turns take time.
func (*away) Inline() bool { return false }

// Turn implements [store.Ledger].
func (a *away) Turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	ways := rand.New(rand.NewPCG(a.seed, s.Number)) //nolint:gosec // a delay, no secret
	pause(ctx, a.oneWay(ways))
	reply, err := a.Ledger.Turn(ctx, s)
	pause(ctx, a.oneWay(ways))
	return reply, err
}

// Wakeups implements [store.Ledger].
func (a *away) Wakeups(ctx context.Context, replica string) <-chan store.Wakeup {
	type sent struct {
		wakeup store.Wakeup
		at     time.Time
	}
	from, to, under := a.Ledger.Wakeups(ctx, replica), make(chan store.Wakeup), make(chan sent, 10_000)
	go func() {
		defer close(under)
		for w := range from {
			under <- sent{w, time.Now()}
		}
	}()
	go func() {
		defer close(to)
		ways := rand.New(rand.NewPCG(a.seed+1, 0)) //nolint:gosec // a delay, no secret
		for s := range under {
			pause(ctx, time.Until(s.at.Add(a.oneWay(ways))))
			select {
			case to <- s.wakeup:
			case <-ctx.Done():
			}
		}
	}()
	return to
}

func (a *away) oneWay(ways *rand.Rand) time.Duration {
	return time.Duration(float64(a.roundTrip) / 2 * (0.9 + 0.2*ways.Float64()))
}
