package store

import (
	"fmt"
	"math"

	"github.com/weirflow/weir/policies"
)

// MaxCapacity is the largest capacity of an endpoint that a replica states, and the most
// requests that it counts there or keeps as float. The sums over a fleet count exactly.
const MaxCapacity = 1 << 32

// Implausible returns an error if the statement has figures that cannot be. A ledger refuses
// it before anything of it is taken in: not the ledger is damaged, and the other replicas
// keep theirs.
func (s *Statement) Implausible() error {
	for _, n := range []struct {
		what               string
		is, least, highest int64
	}{
		{"capacity", s.Capacity, 0, Unlimited},
		{"float", s.Float, 0, MaxCapacity},
		{"float wanted", s.WantFloat, 0, MaxCapacity},
		{"tickets in line", s.InLine, 0, MaxCapacity},
		{"line wanted", s.WantLine, 0, MaxCapacity},
		{"requests being revoked", s.Revoking, 0, MaxCapacity},
		{"pace in microseconds", s.Pace.Microseconds(), 0, Unlimited},
		{"longest request in microseconds", s.Longest.Microseconds(), 0, Unlimited},
	} {
		if n.is < n.least || n.is > n.highest {
			return fmt.Errorf("%w: replica %q states %d as its %s; it must be from %d to %d", ErrUnavailable, s.Replica, n.is, n.what, n.least, n.highest)
		}
	}
	for i := range s.Bands {
		b := &s.Bands[i]
		if b.InFlight < 0 || b.InFlight > MaxCapacity {
			return fmt.Errorf("%w: replica %q states %d requests in flight in priority %d; it must be from 0 to %d", ErrUnavailable, s.Replica, b.InFlight, b.Priority, int64(MaxCapacity))
		}
		if !policies.ValidBandWeight(b.Weight) {
			return fmt.Errorf("%w: replica %q states %v as the weight of priority %d; it must be 0, or from %g to %g", ErrUnavailable, s.Replica, b.Weight, b.Priority, policies.LeastBandWeight, policies.MostBandWeight)
		}
	}
	for i := range s.Loads {
		if l := &s.Loads[i]; !l.plausible() {
			return fmt.Errorf("%w: replica %q states of endpoint %q what cannot be: %+v; no figure may be above %d", ErrUnavailable, s.Replica, l.Endpoint, *l, int64(MaxCapacity))
		}
	}
	for i := range s.Limited {
		if l := &s.Limited[i]; !l.plausible() {
			return fmt.Errorf("%w: replica %q states of flow %q, group %q what cannot be: %+v; no figure may be below 0 or above %d", ErrUnavailable, s.Replica, l.Flow, l.Group, *l, int64(MaxCapacity))
		}
	}
	return nil
}

// plausible is written so that no number that is none passes.
func (l *Limited) plausible() bool {
	return min(l.MaxInFlight, l.InFlight) >= 0 && max(l.MaxInFlight, l.InFlight) <= MaxCapacity &&
		l.Guaranteed >= NoOpinion && l.Guaranteed <= MaxCapacity && math.Abs(l.Owed) <= MaxCapacity*MostOwed &&
		l.MaxSlots >= 0 && l.MaxSlots <= MaxCapacity && l.TokensPerMinute >= 0 && l.TokensPerMinute <= Unlimited
}

func (l *Load) plausible() bool {
	return l.InFlight >= Gone && l.Capacity >= Closed && l.Permits >= 0 && l.Wanted >= 0 && l.Tokens >= 0 &&
		max(l.InFlight, l.Capacity, l.Permits, l.Wanted) <= MaxCapacity && l.Tokens <= Unlimited
}
