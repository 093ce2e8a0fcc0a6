package policies

import (
	"context"
	"time"
)

// FairnessPolicy chooses the flow that goes next within a priority band.
//
// It is a singleton shared by all bands, so its methods must be safe for
// concurrent use on different bands, and whatever it remembers of a band must
// live in that band's state.
type FairnessPolicy interface {
	Plugin
	// NewState makes what the policy remembers about one band. It is called
	// once per band; nil is a good answer for a policy that remembers nothing.
	NewState(ctx context.Context) any
	// Pick returns the flow whose head goes next, or nil when no flow of the
	// band has a request waiting. A nil band is an empty one. An error leaves
	// the band's requests waiting; it is never the end of one.
	Pick(ctx context.Context, band PriorityBandAccessor) (FlowQueueAccessor, error)
}

// Ranker makes a policy's choice comparable across replicas, and keeps it at
// O(log flows) within one: a band under a Ranker indexes its flows in a heap
// and never calls Pick. A policy that implements only FairnessPolicy works too:
// its picks are ranked by turns, each replica's first pick level with every
// other's.
//
// Both methods must be pure functions of what they are passed.
type Ranker interface {
	// Rank is the place of the flow's head in its band: the lowest goes next.
	// It must be finite.
	Rank(band PriorityBandAccessor, flow FlowQueueAccessor) float64
	// Charge is what serving the item adds to its flow's counter; finite and
	// not negative.
	Charge(item QueueItemAccessor) float64
}

// Account says how a Ranker's band is kept in the ledger's book.
type Account struct {
	// CountsService is set when the rank follows from the flow's counter. The
	// ledger then moves a ticket back whose flow was served elsewhere since it
	// was ranked. Without it ranks stand as stated and no counters are kept.
	CountsService bool
	// LiftsIdle is set when a flow that comes back from idleness starts no
	// lower than the band's virtual time, so that idling saves up no credit.
	LiftsIdle bool
	// HalfLife is the time in which what was served comes to count half; 0 for
	// never.
	HalfLife time.Duration
	// Unit is what charges count, parameters included, where one type of policy
	// may count in several. Counters of different units are never compared, also
	// while a rolling update has both.
	Unit string
}

// Accountant is implemented by a Ranker whose account differs from the usual
// one, which counts service and lifts idle flows.
type Accountant interface {
	Account() Account
}

// AccountOf returns how the policy's bands are kept. A policy without a Ranker
// keeps no counters: its picks are ranked by turns.
func AccountOf(p FairnessPolicy) Account {
	if a, ok := p.(Accountant); ok {
		return a.Account()
	}
	_, ranks := p.(Ranker)
	return Account{CountsService: ranks, LiftsIdle: ranks}
}

// PickLowest is Pick for a policy that is a Ranker: the waiting flow of lowest
// rank; between equals the one whose head arrived first, then the lower id.
func PickLowest(r Ranker, band PriorityBandAccessor) FlowQueueAccessor {
	if band == nil {
		return nil
	}
	var best FlowQueueAccessor
	var bestRank float64
	for flow := range band.Flows() {
		if flow == nil || flow.Len() == 0 {
			continue
		}
		rank := r.Rank(band, flow)
		if best == nil || rank < bestRank ||
			rank == bestRank && flow.Head().Arrival().Before(best.Head().Arrival()) {
			best, bestRank = flow, rank
		}
	}
	return best
}
