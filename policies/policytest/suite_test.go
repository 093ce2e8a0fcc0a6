package policytest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/policies/scheduling"
)

// needed are parameters without which a type cannot be made.
var needed = map[string]string{
	"priority-holdback-policy": `{"minCeiling": 0.5}`, "max-saturation-detector": `{"detectors": ["a", "b"]}`, "by-label": `{"label": "gpu", "validValues": ["a"]}`,
}

// TestBuiltins runs each built-in type through the suite of its kind.
func TestBuiltins(t *testing.T) {
	r := builtin.Registry()
	ran := map[string]int{}
	for _, typ := range r.Types() {
		plugin := func() policies.Plugin {
			p, err := r.New(typ, "", json.RawMessage(needed[typ]))
			if err != nil {
				t.Fatalf("%s with its defaults: %v", typ, err)
			}
			if d, ok := p.(*saturation.Max); ok {
				var of []policies.SaturationDetector
				for _, one := range []string{saturation.ConcurrencyType, saturation.UtilizationType} {
					detector, err := r.New(one, "", nil)
					if err != nil {
						t.Fatal(err)
					}
					of = append(of, detector.(policies.SaturationDetector))
				}
				d.Of(of...)
			}
			return p
		}
		t.Run(typ, func(t *testing.T) {
			switch plugin().(type) {
			case policies.FairnessPolicy:
				ran["fairness"]++
				policytest.Fairness(t, func() policies.FairnessPolicy { return plugin().(policies.FairnessPolicy) })
			case policies.OrderingPolicy:
				ran["ordering"]++
				policytest.Ordering(t, func() policies.OrderingPolicy { return plugin().(policies.OrderingPolicy) })
			case policies.SaturationDetector:
				ran["detectors"]++
				policytest.Saturation(t, func() policies.SaturationDetector { return plugin().(policies.SaturationDetector) })
			case policies.UsageLimitPolicy:
				ran["usage limits"]++
				policytest.UsageLimit(t, func() policies.UsageLimitPolicy { return plugin().(policies.UsageLimitPolicy) })
			case policies.BandPolicy:
				ran["bands"]++
				policytest.Bands(t, func() policies.BandPolicy { return plugin().(policies.BandPolicy) })
			case policies.EndpointScorer:
				ran["scorers"]++
				policytest.Scorer(t, func() policies.EndpointScorer { return plugin().(policies.EndpointScorer) })
			case policies.EndpointFilter:
				ran["endpoint filters"]++
				policytest.Filter(t, func() policies.EndpointFilter { return plugin().(policies.EndpointFilter) })
			case policies.EndpointPicker:
				ran["pickers"]++
				policytest.Picker(t, func() policies.EndpointPicker { return plugin().(policies.EndpointPicker) })
			case policies.StageDecider:
				ran["deciders"]++
				policytest.Decider(t, func() policies.StageDecider { return plugin().(policies.StageDecider) })
			case scheduling.ProfileHandler: // they are what config makes of them
			case policies.EvictionFilter:
				ran["filters"]++
				policytest.EvictionFilter(t, func() policies.EvictionFilter { return plugin().(policies.EvictionFilter) })
			case policies.EvictionOrder:
				ran["eviction orders"]++
				policytest.EvictionOrder(t, func() policies.EvictionOrder { return plugin().(policies.EvictionOrder) })
			case *scheduling.ApproxPrefix: // it decides nothing
			default:
				t.Errorf("%s is of no kind that has a suite", typ)
			}
		})
	}
	for kind, n := range map[string]int{
		"fairness": 5, "ordering": 4, "detectors": 2, "usage limits": 3, "scorers": 9, "endpoint filters": 6, "pickers": 3, "deciders": 3, "filters": 2, "eviction orders": 2,
	} {
		if ran[kind] < n {
			t.Errorf("%d of %s went through their suite, there are %d", ran[kind], kind, n)
		}
	}
}

// recorder notes whether a check found fault.
type recorder struct{ faults []string }

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// finds wants the named check, and says what it found, to find fault with the plug-in.
func finds[P policies.Plugin](t *testing.T, checks []policytest.Check[P], name string, make func() P) {
	t.Helper()
	for _, c := range checks {
		if c.Name != name {
			continue
		}
		r := &recorder{}
		if c.Run(r, make); len(r.faults) == 0 {
			t.Errorf("%s finds no fault with a plug-in that breaks it", name)
		} else {
			t.Logf("%s: %s", name, r.faults[0])
		}
		return
	}
	t.Errorf("there is no check %s", name)
}

var typed = policies.NewNamed("broken", "broken")

// ring is an outsider's policy that only picks: it goes round by a cursor kept
// in the band's state.
type ring struct {
	policies.Named
	broken string
	field  *cursor
}

type cursor struct{ at int }

var leaked cursor

func newRing(broken string) func() policies.FairnessPolicy {
	return func() policies.FairnessPolicy { return &ring{typed, broken, &cursor{}} }
}

func (r *ring) NewState(context.Context) any { return &cursor{} }

func (r *ring) Pick(_ context.Context, band policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	if band == nil {
		return nil, nil
	}
	c := band.State().(*cursor)
	switch r.broken {
	case "keeps state in a variable":
		c = &leaked
	case "keeps state in a field":
		c = r.field
	}
	var flows []policies.FlowQueueAccessor
	for f := range band.Flows() {
		if r.broken == "picks empty flows" || f.Len() > 0 {
			flows = append(flows, f)
		}
	}
	if len(flows) == 0 {
		return nil, nil
	}
	if r.broken == "starves" {
		return flows[0], nil
	}
	c.at++
	return flows[c.at%len(flows)], nil
}

// counting goes by counters, as far as its funcs say.
type counting struct {
	policies.Named
	charge func(policies.QueueItemAccessor) float64
	pick   func(policies.PriorityBandAccessor) policies.FlowQueueAccessor
}

func (counting) NewState(context.Context) any { return nil }
func (p counting) Pick(_ context.Context, b policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	return p.pick(b), nil
}
func (p counting) Charge(i policies.QueueItemAccessor) float64 { return p.charge(i) }

// ranking goes by ranks, as far as its funcs say.
type ranking struct {
	policies.Named
	rank func(policies.FlowQueueAccessor) float64
	pick func(policies.RankingPolicy, policies.PriorityBandAccessor) policies.FlowQueueAccessor
}

func (ranking) NewState(context.Context) any { return nil }
func (p ranking) Pick(_ context.Context, b policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	return p.pick(p, b), nil
}

func (p ranking) Rank(_ policies.PriorityBandAccessor, f policies.FlowQueueAccessor) float64 {
	return p.rank(f)
}

// both charges and ranks.
type both struct{ ranking }

func (both) Charge(policies.QueueItemAccessor) float64 { return 1 }

func TestOutsidersFairness(t *testing.T) {
	t.Run("picking", func(t *testing.T) { policytest.Fairness(t, newRing("")) })
	t.Run("ranking", func(t *testing.T) {
		policytest.Fairness(t, func() policies.FairnessPolicy { return longest{typed} })
	})
}

// longest serves the longest queue first, which lets none grow for ever.
type longest struct{ policies.Named }

func (longest) NewState(context.Context) any { return nil }
func (p longest) Pick(_ context.Context, b policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	return policies.PickLowestRank(p, b), nil
}

func (longest) Rank(_ policies.PriorityBandAccessor, f policies.FlowQueueAccessor) float64 {
	return -float64(f.Len())
}

func TestFaultsOfFairness(t *testing.T) {
	checks := policytest.FairnessChecks()
	finds(t, checks, "EmptyQueuesAreSkipped", newRing("picks empty flows"))
	finds(t, checks, "NoFlowStarves", newRing("starves"))
	finds(t, checks, "DispatchedByTwoReplicas", newRing("starves"))
	finds(t, checks, "StateOnlyThroughNewState", newRing("keeps state in a variable"))
	finds(t, checks, "StateOnlyThroughNewState", newRing("keeps state in a field"))

	first := func(f policies.FlowQueueAccessor) float64 { return float64(f.FlowKey().ID[0]) }
	oldest := func(f policies.FlowQueueAccessor) float64 { return f.HeadScore() }
	lowest := policies.PickLowestRank
	of := func(rank func(policies.FlowQueueAccessor) float64, pick func(policies.RankingPolicy, policies.PriorityBandAccessor) policies.FlowQueueAccessor) func() policies.FairnessPolicy {
		return func() policies.FairnessPolicy { return ranking{typed, rank, pick} }
	}
	finds(t, checks, "NoFlowStarves", of(first, lowest))
	finds(t, checks, "DispatchedByTwoReplicas", of(first, lowest))
	finds(t, checks, "PickAgrees", of(oldest, func(_ policies.RankingPolicy, b policies.PriorityBandAccessor) policies.FlowQueueAccessor {
		return policies.PickLeastServed(b)
	}))
	calls := 0.0
	finds(t, checks, "ChargesAndRanks", of(func(policies.FlowQueueAccessor) float64 { calls++; return calls }, lowest))
	finds(t, checks, "OfOneKind", func() policies.FairnessPolicy { return both{} })

	one := func(policies.QueueItemAccessor) float64 { return 1 }
	finds(t, checks, "PickAgrees", func() policies.FairnessPolicy {
		return counting{typed, one, func(b policies.PriorityBandAccessor) policies.FlowQueueAccessor {
			for f := range b.Flows() {
				if f.Len() > 0 {
					return f
				}
			}
			return nil
		}}
	})
	finds(t, checks, "ChargesAndRanks", func() policies.FairnessPolicy {
		return counting{typed, func(policies.QueueItemAccessor) float64 { return -1 }, policies.PickLeastServed}
	})
	finds(t, checks, "ChargesAndRanks", func() policies.FairnessPolicy { // charges that do not follow from the item
		n := 0.0
		return counting{typed, func(policies.QueueItemAccessor) float64 { n++; return n }, policies.PickLeastServed}
	})
}

// compares is an ordering policy with Less alone.
type compares struct {
	policies.Named
	less func(a, b policies.QueueItemAccessor) bool
}

func (p compares) Less(a, b policies.QueueItemAccessor) bool { return p.less(a, b) }

// scores is one with a score as well.
type scores struct {
	compares
	score func(policies.QueueItemAccessor) float64
}

func (p scores) Score(i policies.QueueItemAccessor) float64 { return p.score(i) }

func TestFaultsOfOrdering(t *testing.T) {
	of := func(less func(a, b policies.QueueItemAccessor) bool) func() policies.OrderingPolicy {
		return func() policies.OrderingPolicy { return compares{typed, less} }
	}
	t.Run("last come first served", func(t *testing.T) {
		policytest.Ordering(t, of(func(a, b policies.QueueItemAccessor) bool { return a.Arrival().After(b.Arrival()) }))
	})
	t.Run("smallest first", func(t *testing.T) {
		policytest.Ordering(t, of(func(a, b policies.QueueItemAccessor) bool { return a.ByteSize() < b.ByteSize() }))
	})
	checks := policytest.OrderingChecks()
	roundabout := func(a, b policies.QueueItemAccessor) bool { return (a.ByteSize()/100+1)%4 == b.ByteSize()/100 }
	finds(t, checks, "StrictWeakOrder", of(roundabout))
	finds(t, checks, "DispatchedInOrder", of(roundabout))
	finds(t, checks, "StrictWeakOrder", of(func(a, b policies.QueueItemAccessor) bool { return a.ByteSize() <= b.ByteSize() }))
	// Level within 100 bytes of each other is not transitive.
	finds(t, checks, "StrictWeakOrder", of(func(a, b policies.QueueItemAccessor) bool { return a.ByteSize()+100 < b.ByteSize() }))
	finds(t, checks, "ScoreAgreesWithLess", func() policies.OrderingPolicy {
		return scores{compares{typed, func(a, b policies.QueueItemAccessor) bool { return a.ByteSize() < b.ByteSize() }}, policies.ArrivalScore}
	})
	finds(t, checks, "DispatchedInOrder", func() policies.OrderingPolicy {
		return scores{compares{typed, func(a, b policies.QueueItemAccessor) bool { return a.ByteSize() < b.ByteSize() }}, policies.ArrivalScore}
	})
}

// pool is a detector, a usage limit policy and what else is asked about a pool, as its
// funcs say.
type pool struct {
	policies.Named
	saturation func(n int) float64
	ceilings   func(priorities []int) []float64
	score      func(e policies.EndpointAccessor) float64
	pick       func(scores []float64, draw float64) int
	evict      func(dispatched time.Time) float64
}

func (p pool) Saturation(_ context.Context, _ time.Time, es []policies.EndpointAccessor) float64 {
	n := 0
	for _, e := range es {
		n += e.InFlight()
	}
	return p.saturation(n)
}

func (p pool) Ceilings(_ context.Context, _ time.Time, _ float64, priorities []int) []float64 {
	return p.ceilings(priorities)
}

// scorer, picker and order are a pool's, under the methods of their own.
type (
	scorer struct{ pool }
	picker struct{ pool }
	order  struct{ pool }
)

func (p scorer) Score(_ policies.SchedulingRequest, es []policies.EndpointAccessor, scores []float64) {
	for i, e := range es[1:] {
		scores[i] = p.score(e)
	}
}
func (p picker) Endpoints() int                                 { return 0 }
func (p picker) Pick(scores []float64, draw func() float64) int { return p.pick(scores, draw()) }

func (p order) Score(_ policies.FlowKey, dispatched time.Time) float64 { return p.evict(dispatched) }

func (p order) Evictable(policies.FlowKey) bool { return p.evict(time.Time{}) > 0 }

func TestFaultsOfOthers(t *testing.T) {
	detector := func(saturation func(n int) float64) func() policies.SaturationDetector {
		return func() policies.SaturationDetector { return pool{Named: typed, saturation: saturation} }
	}
	finds(t, policytest.SaturationChecks(), "NoEndpointsAreFull", detector(func(int) float64 { return 0 }))
	finds(t, policytest.SaturationChecks(), "AnIdlePoolIsNot", detector(func(int) float64 { return 1 }))
	finds(t, policytest.SaturationChecks(), "NeverNegative", detector(func(n int) float64 { return float64(10 - n) }))
	finds(t, policytest.SaturationChecks(), "FullerWithMoreInFlight", detector(func(n int) float64 { return 1 / float64(1+n) }))

	limit := func(ceilings func(priorities []int) []float64) func() policies.UsageLimitPolicy {
		return func() policies.UsageLimitPolicy { return pool{Named: typed, ceilings: ceilings} }
	}
	finds(t, policytest.UsageLimitChecks(), "OneCeilingForEachPriority", limit(func([]int) []float64 { return []float64{1} }))
	finds(t, policytest.UsageLimitChecks(), "OneCeilingForEachPriority", limit(func(priorities []int) []float64 {
		cs := make([]float64, len(priorities))
		for i := range cs {
			cs[i] = float64(i)
		}
		return cs
	}))
	calls := 0
	finds(t, policytest.UsageLimitChecks(), "AllReplicasAgree", limit(func(priorities []int) []float64 {
		calls++
		return slices.Repeat([]float64{1 / float64(calls)}, len(priorities))
	}))

	scores := func(score func(e policies.EndpointAccessor) float64) func() policies.EndpointScorer {
		return func() policies.EndpointScorer { return scorer{pool{Named: typed, score: score}} }
	}
	finds(t, policytest.ScorerChecks(), "ScoresFromZeroToOne", scores(func(policies.EndpointAccessor) float64 { return 1 })) // but the last
	finds(t, policytest.ScorerChecks(), "SameScoresForTheSame", scores(func(policies.EndpointAccessor) float64 { calls++; return 1 / float64(calls) }))
	picks := func(pick func(scores []float64, draw float64) int) func() policies.EndpointPicker {
		return func() policies.EndpointPicker { return picker{pool{Named: typed, pick: pick}} }
	}
	finds(t, policytest.PickerChecks(), "AtLeastOneEndpoint", picks(nil))
	finds(t, policytest.PickerChecks(), "PicksWhatMayBePicked", picks(func(scores []float64, draw float64) int { return int(draw * float64(len(scores))) }))

	finds(t, policytest.EvictionOrderChecks(), "FiniteAndSteady", func() policies.EvictionOrder {
		return order{pool{Named: typed, evict: func(time.Time) float64 { return math.Inf(1) }}}
	})
	finds(t, policytest.EvictionFilterChecks(), "SameAnswerForTheSame", func() policies.EvictionFilter {
		return order{pool{Named: typed, evict: func(time.Time) float64 { calls++; return float64(calls%2) - 0.5 }}}
	})
}
