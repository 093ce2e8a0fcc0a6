package policies

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// FairnessPolicy chooses the flow that goes next within a priority band.
//
// It is a singleton shared by all bands, so its methods must be safe for
// concurrent use on different bands, and whatever it remembers of a band must
// live in that band's state.
//
// It is one of three kinds; see [FairnessKind]. A [CountingPolicy] or a
// [RankingPolicy] is chosen by in O(log flows) and without Pick being called,
// so its Pick must agree with what it counts or ranks. Of a policy that is
// neither, Pick decides.
type FairnessPolicy interface {
	Plugin
	// NewState makes what the policy remembers about one band; nil is a good answer for a policy
	// that remembers nothing. It is called once when a band appears at a replica, or a group of
	// flows, which is a band of its own to the policy. What it returned is the band's State until
	// the band has been idle for long enough to be forgotten, also over a reload of the
	// configuration that leaves the policy the [Same].
	NewState(ctx context.Context) any
	// Pick returns the flow whose head goes next, or nil when no flow of the
	// band has a request waiting. A nil band is an empty one. An error leaves
	// the band's requests waiting; it is never the end of one.
	//
	// Of a policy that only picks, each replica holds one pick of a band before
	// the ledger, and asks for the next when that one's request went. The
	// replicas take turns. A pick is of the flow: if its head goes away or a
	// better one comes, the flow keeps its turn as long as it has a request.
	Pick(ctx context.Context, band PriorityBandAccessor) (FlowQueueAccessor, error)
}

// CountingPolicy is a FairnessPolicy under which each flow has a counter of the
// service it has received, and the flow of the lowest counter goes next. The
// counters are kept in the ledger, one for each flow in the whole fleet.
type CountingPolicy interface {
	FairnessPolicy
	// Charge is what serving the item costs, finite and not negative. It is
	// divided by the flow's weight and added to the flow's counter. It must
	// follow from the item alone: it is asked again with the real numbers of
	// tokens, and with the time that the request held its slot.
	Charge(item QueueItemAccessor) float64
}

// RankingPolicy is a FairnessPolicy that gives each flow a number, and the flow
// of the lowest number goes next. No counters are kept.
type RankingPolicy interface {
	FairnessPolicy
	// Rank is the place of the flow's head in its band: the lowest goes next,
	// over all replicas. It must be finite, and follow from the flow and the
	// band's priority and state alone: it is asked again when a request of the
	// flow comes or goes. A later request of a flow never goes before an
	// earlier one, whatever its rank.
	Rank(band PriorityBandAccessor, flow FlowQueueAccessor) float64
}

// FairnessKind says how a policy's choice is made comparable across replicas.
type FairnessKind int

// The kinds.
const (
	// Picking: a replica's picks are ranked by turns with those of the others.
	Picking FairnessKind = iota
	// Ranking: as [RankingPolicy.Rank] says.
	Ranking
	// Counting: by the flows' counters.
	Counting
)

// ErrAmbiguous says that a fairness policy implements what belongs to different
// kinds of policies.
var ErrAmbiguous = errors.New("fairness policy of more than one kind")

// KindOf returns the policy's kind. It is ErrAmbiguous to have both Charge and
// Rank, or an [Account] without Charge.
func KindOf(p FairnessPolicy) (FairnessKind, error) {
	_, charges := p.(CountingPolicy)
	_, ranks := p.(RankingPolicy)
	_, accounts := p.(interface{ Account() Account })
	switch {
	case charges && ranks:
		return Picking, fmt.Errorf("%w: %s has Charge and Rank; keep Charge if flows go by what they were served, or Rank", ErrAmbiguous, p.TypedName())
	case accounts && !charges:
		return Picking, fmt.Errorf("%w: %s has Account, which only a policy with Charge may have", ErrAmbiguous, p.TypedName())
	case charges:
		return Counting, nil
	case ranks:
		return Ranking, nil
	}
	return Picking, nil
}

// Account says how the counters of a counting policy are kept.
type Account struct {
	// LiftsIdle is set when a flow that comes back from idleness starts no
	// lower than the others that wait, so that idling saves up no credit.
	LiftsIdle bool
	// HalfLife is the time in which what was served comes to count half; 0 for
	// never.
	HalfLife time.Duration
	// ByTime is set where Charge follows from how long a request has held its slot: it is
	// asked again while the time passes.
	ByTime bool
	// Unit is what charges count, parameters included, where one type of policy
	// may count in several. Counters of different units are never compared, also
	// while a rolling update has both.
	Unit string
}

// Accountant is a CountingPolicy whose counters are kept in another way than the
// usual one, which lifts idle flows and forgets nothing.
type Accountant interface {
	CountingPolicy
	Account() Account
}

// AccountOf returns how the policy's counters are kept; the zero value for a policy
// that counts nothing.
func AccountOf(p FairnessPolicy) Account {
	if a, ok := p.(Accountant); ok {
		return a.Account()
	}
	_, charges := p.(CountingPolicy)
	return Account{LiftsIdle: charges}
}

// Same reports whether two plug-ins are the same: one instance, or two of one type and
// name whose fields are equal, as those are that were made with the same parameters.
func Same(a, b Plugin) bool {
	return a.TypedName() == b.TypedName() && reflect.DeepEqual(a, b)
}

// PickLeastServed is Pick for a [CountingPolicy]: the waiting flow of the lowest
// counter; between equals the one whose head arrived first, then the lower id.
func PickLeastServed(band PriorityBandAccessor) FlowQueueAccessor {
	return pickLowest(band, FlowQueueAccessor.Counter)
}

// PickLowestRank is Pick for a [RankingPolicy]: the waiting flow of the lowest rank;
// between equals the one whose head arrived first, then the lower id.
func PickLowestRank(p RankingPolicy, band PriorityBandAccessor) FlowQueueAccessor {
	return pickLowest(band, func(f FlowQueueAccessor) float64 { return p.Rank(band, f) })
}

func pickLowest(band PriorityBandAccessor, rank func(FlowQueueAccessor) float64) FlowQueueAccessor {
	if band == nil {
		return nil
	}
	var best FlowQueueAccessor
	var lowest float64
	for flow := range band.Flows() {
		if flow == nil || flow.Len() == 0 {
			continue
		}
		r := rank(flow)
		if best == nil || r < lowest || r == lowest && flow.Head().Arrival().Before(best.Head().Arrival()) {
			best, lowest = flow, r
		}
	}
	return best
}
