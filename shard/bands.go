package shard

import (
	"iter"
	"slices"
	"time"

	"github.com/weirflow/weir/policies"
)

// Band is one priority, for the part that dispatches. A Set has the only table of bands:
// one is made on demand, and forgotten once nothing of it waits, runs or is remembered. A
// Band must not be kept beyond the next Collect or Rebuilt.
type Band struct{ b *band }

// Capacity is what a band may have of the pool. The Set only stores it.
type Capacity struct {
	// Ceiling is how many requests may be in flight in the fleet for the band to go on,
	// and Limit the same less what is left to replicas without the ledger.
	Ceiling, Limit int64
	// InFlight is how many of the band's requests this replica has in flight. While
	// there are any, the band is not forgotten.
	InFlight int64
}

// Bands returns the bands, highest priority first.
func (s *Set) Bands() iter.Seq[Band] {
	return func(yield func(Band) bool) {
		for _, bd := range s.bands {
			if !yield(Band{bd}) {
				return
			}
		}
	}
}

// Band returns the band of the priority, and whether it was made for that.
func (s *Set) Band(priority int) (b Band, made bool) {
	before := len(s.bands)
	b = Band{s.band(priority)}
	return b, len(s.bands) > before
}

// Priority returns the band's priority.
func (b Band) Priority() int { return b.b.priority }

// Policy names the band's book in the ledger: the fairness policy, and the unit it counts
// in, so that counters of different units are never compared.
func (b Band) Policy() string { return b.b.policy }

// Policy is that of the band of a priority; empty if there is none.
func (s *Set) Policy(priority int) string {
	if bd := s.find(priority); bd != nil {
		return bd.policy
	}
	return ""
}

// Counts reports whether the band's flows go by their counters.
func (b Band) Counts() bool { return b.b.counts() }

// Account says how the fairness policy has its flows counted.
func (b Band) Account() policies.Account { return b.b.account }

// VirtualTime is the band's, as last learnt from the ledger.
func (b Band) VirtualTime() float64 { return b.b.top.v }

// Level is where the band's flows begin that the ledger does not know, as last learnt.
func (b Band) Level() float64 { return b.b.top.level }

// Queued returns what waits here.
func (b Band) Queued() (requests, bytes int64) { return b.b.waits.requests, b.b.waits.bytes }

// Fill returns how full the band's buffer is, over the fleet.
func (b Band) Fill() Fill {
	bd := b.b
	return fill(bd.waits.plus(bd.elsewhere.amount), bd.cfg.MaxRequests, bd.cfg.MaxBytes)
}

// InFlight is how many requests of a priority this replica has in flight.
func (s *Set) InFlight(priority int) int64 {
	if bd := s.find(priority); bd != nil {
		return bd.capacity.InFlight
	}
	return 0
}

// Capacity is the band's, to be read and written.
func (b Band) Capacity() *Capacity { return &b.b.capacity }

// collectBands forgets bands that have had no flow for long enough.
func (s *Set) collectBands(now time.Time) {
	s.bands = slices.DeleteFunc(s.bands, func(bd *band) bool {
		bd.forget()
		if len(bd.flows) > 0 || bd.capacity.InFlight > 0 {
			return false
		}
		if bd.emptySince.IsZero() {
			bd.emptySince = now
		}
		return now.Sub(bd.emptySince) >= s.cfg.Idle
	})
}
