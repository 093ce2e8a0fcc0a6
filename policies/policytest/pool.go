package policytest

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
)

// Saturation checks that the detectors which make returns keep the contract of
// [policies.SaturationDetector].
func Saturation(t *testing.T, make func() policies.SaturationDetector) {
	t.Helper()
	run(t, SaturationChecks(), make)
}

// SaturationChecks returns the suite's checks.
func SaturationChecks() []Check[policies.SaturationDetector] {
	return []Check[policies.SaturationDetector]{
		named[policies.SaturationDetector](),
		{"NoEndpointsAreFull", noEndpoints},
		{"AnIdlePoolIsNot", idlePool},
		{"NeverNegative", neverNegative},
		{"FullerWithMoreInFlight", fuller},
		{"LimitAgrees", limitAgrees},
	}
}

// servers returns endpoints with so many requests each, whose readings say the same and
// are fresh.
func servers(n, requests int) []policies.EndpointAccessor {
	es := make([]policies.EndpointAccessor, n)
	for i := range es {
		es[i] = Endpoint{
			Name: string(rune('a' + i)), Requests: requests, Tokens: int64(100 * requests),
			Reading: policies.EndpointMetrics{ReadAt: epoch, Running: min(requests, 8), Waiting: max(0, requests-8), KVCacheUsage: min(1, float64(requests)/1000)},
		}
	}
	return es
}

func noEndpoints(t T, make func() policies.SaturationDetector) {
	t.Helper()
	if s := make().Saturation(context.Background(), epoch, nil); !(s >= 1) {
		t.Errorf("a pool without endpoints is %v full, it must count as full: 1 or more", s)
	}
}

func idlePool(t T, make func() policies.SaturationDetector) {
	t.Helper()
	if s := make().Saturation(context.Background(), epoch, servers(2, 0)); !(s < 1) {
		t.Errorf("an idle pool is %v full: nothing would ever be dispatched", s)
	}
}

func neverNegative(t T, make func() policies.SaturationDetector) {
	t.Helper()
	p := make()
	pools := [][]policies.EndpointAccessor{servers(1, 0), servers(3, 7), servers(2, 1_000_000), {Endpoint{Name: "never read", Requests: 3}}}
	for _, es := range pools {
		for _, now := range []time.Time{epoch, epoch.Add(time.Hour)} {
			if s := p.Saturation(context.Background(), now, es); !(s >= 0) || math.IsInf(s, 0) {
				t.Errorf("%d endpoints with %d requests each are %v full; it must be a number from 0", len(es), es[0].InFlight(), s)
			}
		}
	}
}

func fuller(t T, make func() policies.SaturationDetector) {
	t.Helper()
	p := make()
	last := -1.0
	for _, requests := range []int{0, 1, 10, 100, 1000, 10_000, 1_000_000} {
		s := p.Saturation(context.Background(), epoch, servers(2, requests))
		if s < last {
			t.Errorf("with %d requests at each endpoint the pool is %v full, and with fewer it was %v", requests, s, last)
		}
		last = s
	}
	if last < 1 {
		t.Errorf("a pool with a million requests at each endpoint is %v full: nothing would ever wait", last)
	}
}

func limitAgrees(t T, make func() policies.SaturationDetector) {
	t.Helper()
	p := make()
	l, ok := p.(policies.InFlightLimiter)
	if !ok {
		return
	}
	if n := l.InFlightLimit(nil); n != 0 {
		t.Errorf("the limit of a pool without endpoints is %d, want 0", n)
	}
	if n := l.InFlightLimit(servers(2, 0)); n < 1 {
		t.Errorf("the limit of two idle endpoints is %d", n)
	}
}

// UsageLimit checks that the policies which make returns keep the contract of
// [policies.UsageLimitPolicy].
func UsageLimit(t *testing.T, make func() policies.UsageLimitPolicy) {
	t.Helper()
	run(t, UsageLimitChecks(), make)
}

// UsageLimitChecks returns the suite's checks.
func UsageLimitChecks() []Check[policies.UsageLimitPolicy] {
	return []Check[policies.UsageLimitPolicy]{
		named[policies.UsageLimitPolicy](),
		{"OneCeilingForEachPriority", ceilings},
		{"AllReplicasAgree", ceilingsAgree},
	}
}

// priorities are what bands there may be, highest first.
var priorities = [][]int{nil, {0}, {-1}, {100, 0, -1, -50}, {3, 2, 1}}

func ceilings(t T, make func() policies.UsageLimitPolicy) {
	t.Helper()
	p := make()
	for _, bands := range priorities {
		for _, saturation := range []float64{0, 0.5, 1, 7} {
			given := slices.Clone(bands)
			cs := p.Ceilings(context.Background(), epoch, saturation, given)
			if !slices.Equal(given, bands) {
				t.Errorf("the priorities %v were changed to %v", bands, given)
			}
			if len(cs) != len(bands) {
				t.Errorf("%d ceilings for the priorities %v", len(cs), bands)
				continue
			}
			for i, c := range cs {
				if !(c >= 0 && c <= 1) {
					t.Errorf("priority %d of a pool %v full: ceiling %v, it must be from 0 to 1", bands[i], saturation, c)
				}
				if i > 0 && c > cs[i-1] {
					t.Errorf("priority %d has the ceiling %v, and the higher %d has %v", bands[i], c, bands[i-1], cs[i-1])
				}
			}
		}
	}
}

// ceilingsAgree asks two instances at the same time, in another order.
func ceilingsAgree(t T, make func() policies.UsageLimitPolicy) {
	t.Helper()
	p, q := make(), make()
	q.Ceilings(context.Background(), epoch.Add(-time.Minute), 0.9, []int{5, 0})
	for _, bands := range priorities {
		a, b := p.Ceilings(context.Background(), epoch, 0.5, bands), q.Ceilings(context.Background(), epoch, 0.5, bands)
		if !slices.Equal(a, b) {
			t.Errorf("two replicas that ask at the same time get %v and %v for the priorities %v", a, b, bands)
		}
	}
}

// Scorer checks that the scorers which make returns keep the contract of
// [policies.EndpointScorer].
func Scorer(t *testing.T, make func() policies.EndpointScorer) {
	t.Helper()
	run(t, ScorerChecks(), make)
}

// ScorerChecks returns the suite's checks.
func ScorerChecks() []Check[policies.EndpointScorer] {
	return []Check[policies.EndpointScorer]{
		named[policies.EndpointScorer](),
		{"ScoresFromZeroToOne", scoresInRange},
		{"SameScoresForTheSame", scoresSteady},
	}
}

// asked is a request that may go to an endpoint. It implements
// policies.SchedulingRequest.
type asked struct{}

func (asked) Model() string { return "model" }

func (asked) Cached(address string) float64 { return float64(len(address)%2) / 2 }

func (asked) Session() string { return "before" }

func (asked) PromptTokens() int64 { return 100 }

func (asked) Media() bool { return true }

// draws returns endpoints of every kind.
func draws(draw *rand.Rand) []policies.EndpointAccessor {
	es := make([]policies.EndpointAccessor, 1+draw.IntN(5))
	for i := range es {
		e := Endpoint{Name: string(rune('a' + i)), Requests: draw.IntN(50), Tokens: draw.Int64N(10_000)}
		if draw.IntN(4) > 0 {
			e.Reading = policies.EndpointMetrics{
				ReadAt: epoch, Running: draw.IntN(20), Waiting: draw.IntN(500), KVCacheUsage: draw.Float64() * 1.1,
				MaxLoadedModels: draw.IntN(3), LoadedModels: []string{"model", "other"}[:draw.IntN(3)],
			}
		}
		es[i] = e
	}
	return es
}

func scoresInRange(t T, make func() policies.EndpointScorer) {
	t.Helper()
	p := make()
	draw := rand.New(rand.NewPCG(9, 10))
	for range 500 {
		es := draws(draw)
		for i, score := range scoresOf(p, es) {
			if !(score >= 0 && score <= 1) {
				t.Errorf("%+v among %d gets the score %v, it must be from 0 to 1, and be set", es[i], len(es), score)
				return
			}
		}
	}
}

func scoresSteady(t T, make func() policies.EndpointScorer) {
	t.Helper()
	p, q := make(), make()
	draw := rand.New(rand.NewPCG(11, 12))
	for range 100 {
		es := draws(draw)
		if a, b := scoresOf(p, es), scoresOf(q, es); !slices.Equal(a, b) {
			t.Errorf("the same endpoints get the scores %v and %v", a, b)
			return
		}
	}
}

// scoresOf returns the scores; one that is not set is not a number.
func scoresOf(p policies.EndpointScorer, es []policies.EndpointAccessor) []float64 {
	scores := make([]float64, len(es))
	for i := range scores {
		scores[i] = math.NaN()
	}
	p.Score(asked{}, es, scores)
	return scores
}

// Picker checks that the pickers which make returns keep the contract of
// [policies.EndpointPicker].
func Picker(t *testing.T, make func() policies.EndpointPicker) {
	t.Helper()
	run(t, PickerChecks(), make)
}

// PickerChecks returns the suite's checks.
func PickerChecks() []Check[policies.EndpointPicker] {
	return []Check[policies.EndpointPicker]{
		named[policies.EndpointPicker](),
		{"AtLeastOneEndpoint", picksAtLeastOne},
		{"PicksWhatMayBePicked", picksAllowed},
	}
}

func picksAtLeastOne(t T, make func() policies.EndpointPicker) {
	t.Helper()
	if n := make().Endpoints(); n < 1 {
		t.Errorf("%d endpoints are picked, it must be at least 1", n)
	}
}

func picksAllowed(t T, make func() policies.EndpointPicker) {
	t.Helper()
	p := make()
	draw := rand.New(rand.NewPCG(13, 14))
	for range 2000 {
		scores := []float64{-1, -1, -1, -1, -1}[:1+draw.IntN(5)]
		for i := range scores {
			if draw.IntN(2) == 0 {
				scores[i] = []float64{0, draw.Float64()}[draw.IntN(2)]
			}
		}
		scores[draw.IntN(len(scores))] = draw.Float64()
		given := slices.Clone(scores)
		at := []float64{0, draw.Float64(), math.Nextafter(1, 0)}[draw.IntN(3)]
		picked := p.Pick(scores, func() float64 { return at })
		if !slices.Equal(scores, given) {
			t.Errorf("the scores %v were changed to %v", given, scores)
			return
		}
		if picked < 0 || picked >= len(scores) || scores[picked] < 0 {
			t.Errorf("of the scores %v number %d was picked, with %v drawn", scores, picked, at)
			return
		}
	}
}

// EvictionFilter checks that the filters which make returns keep the contract of
// [policies.EvictionFilter].
func EvictionFilter(t *testing.T, make func() policies.EvictionFilter) {
	t.Helper()
	run(t, EvictionFilterChecks(), make)
}

// EvictionFilterChecks returns the suite's checks.
func EvictionFilterChecks() []Check[policies.EvictionFilter] {
	return []Check[policies.EvictionFilter]{
		named[policies.EvictionFilter](),
		{"SameAnswerForTheSame", filterSteady},
	}
}

// flowsOfAll are flows of all priorities.
func flowsOfAll() (flows []policies.FlowKey) {
	for _, priority := range []int{-100, -1, 0, 1, 100} {
		for _, id := range []string{"", "a", "b"} {
			flows = append(flows, policies.FlowKey{ID: id, Priority: priority})
		}
	}
	return flows
}

func filterSteady(t T, make func() policies.EvictionFilter) {
	t.Helper()
	p, q := make(), make()
	for _, flow := range flowsOfAll() {
		if a, b, again := p.Evictable(flow), q.Evictable(flow), p.Evictable(flow); a != b || a != again {
			t.Errorf("flow %v: Evictable is %v, %v and %v", flow, a, b, again)
		}
	}
}

// EvictionOrder checks that the orders which make returns keep the contract of
// [policies.EvictionOrder].
func EvictionOrder(t *testing.T, make func() policies.EvictionOrder) {
	t.Helper()
	run(t, EvictionOrderChecks(), make)
}

// EvictionOrderChecks returns the suite's checks.
func EvictionOrderChecks() []Check[policies.EvictionOrder] {
	return []Check[policies.EvictionOrder]{
		named[policies.EvictionOrder](),
		{"FiniteAndSteady", evictionScores},
	}
}

func evictionScores(t T, make func() policies.EvictionOrder) {
	t.Helper()
	p, q := make(), make()
	for _, flow := range flowsOfAll() {
		for _, at := range []time.Time{epoch, epoch.Add(time.Microsecond), epoch.Add(time.Hour)} {
			a, b := p.Score(flow, at), q.Score(flow, at)
			if math.IsNaN(a) || math.IsInf(a, 0) {
				t.Errorf("flow %v dispatched at %v: the score is %v, it must be finite", flow, at, a)
			}
			if a != b {
				t.Errorf("flow %v dispatched at %v: two replicas give the scores %v and %v", flow, at, a, b)
			}
		}
	}
}
