package policytest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/weirflow/weir/policies"
)

// T is what the suite needs of a *testing.T.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// Fairness checks that the policies which make returns keep the contract of
// [policies.FairnessPolicy], and of [policies.Ranker] where they implement it.
func Fairness(t *testing.T, make func() policies.FairnessPolicy) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, make) })
	}
}

// Check is one check of the suite.
type Check struct {
	Name string
	Run  func(t T, make func() policies.FairnessPolicy)
}

// Checks returns the checks of the suite, to run one by one.
func Checks() []Check {
	return []Check{
		{"Named", named},
		{"NilAndEmptyBands", nilAndEmpty},
		{"EmptyQueuesAreSkipped", emptySkipped},
		{"EveryRequestIsServedOnce", servedOnce},
		{"NoFlowStarves", noStarvation},
		{"Deterministic", deterministic},
		{"StateOnlyThroughNewState", stateOnly},
		{"SafeForConcurrentUse", concurrent},
		{"RanksAreFinite", finiteRanks},
	}
}

func named(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p := make()
	if n := p.TypedName(); n.Type == "" || n.Name == "" || n != p.TypedName() {
		t.Errorf("TypedName is %+v: type and name must be set and constant", n)
	}
}

func nilAndEmpty(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p := make()
	bands := map[string]policies.PriorityBandAccessor{
		"nil band": nil, "empty band": NewBand(newState(p)), "band of empty queues": NewBand(newState(p), 0, 0, 0),
	}
	for name, band := range bands {
		if flow, err := p.Pick(context.Background(), band); !isNil(flow) || err != nil {
			t.Errorf("%s: picked %v with error %v, want nothing", name, flow, err)
		}
	}
}

func emptySkipped(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p := make()
	band := NewBand(newState(p), 0, 2, 0, 1, 0)
	for range 3 {
		if serveNext(t, p, band) == "" {
			return
		}
	}
}

func servedOnce(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p := make()
	if got := len(serveAll(t, p, NewBand(newState(p), 3, 5, 2))); got != 10 {
		t.Errorf("%d of 10 requests were served", got)
	}
}

// noStarvation has flows that refill as they are served, so that there is
// always something to pick from each of them.
func noStarvation(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p := make()
	band := NewBand(newState(p), 1, 1, 1, 1)
	served := map[string]int{}
	for range 400 {
		id := serveNext(t, p, band)
		if id == "" {
			return
		}
		served[id]++
		for _, f := range band.Queues {
			if f.Key.ID == id {
				band.Arrive(f)
			}
		}
	}
	for _, f := range band.Queues {
		if served[f.Key.ID] == 0 {
			t.Errorf("flow %s was never served in 400 turns: %v", f.Key.ID, served)
		}
	}
}

func deterministic(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p, q := make(), make()
	a := serveAll(t, p, NewBand(newState(p), 4, 4, 4))
	b := serveAll(t, q, NewBand(newState(q), 4, 4, 4))
	if strings.Join(a, "") != strings.Join(b, "") {
		t.Errorf("the same band was served as %v and as %v", a, b)
	}
}

// stateOnly serves two bands of one policy turn by turn: each must go as if the
// other were not there.
func stateOnly(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p := make()
	alone := serveAll(t, p, NewBand(newState(p), 3, 2, 3))
	one, other := NewBand(newState(p), 3, 2, 3), NewBand(newState(p), 1, 7)
	var together []string
	for range alone {
		together = append(together, serveNext(t, p, one))
		serveNext(t, p, other)
	}
	if strings.Join(alone, "") != strings.Join(together, "") {
		t.Errorf("a band alone was served as %v, beside another as %v: something is kept outside NewState", alone, together)
	}
}

func concurrent(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p := make()
	want := strings.Join(serveAll(t, p, NewBand(newState(p), 20, 20)), "")
	var wg sync.WaitGroup
	got := [8]string{}
	for i := range got {
		wg.Go(func() { got[i] = strings.Join(serveAll(t, p, NewBand(newState(p), 20, 20)), "") })
	}
	wg.Wait()
	for _, g := range got {
		if g != want {
			t.Errorf("a band served beside others went as %s, alone as %s", g, want)
		}
	}
}

func finiteRanks(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p := make()
	r, ok := p.(policies.Ranker)
	if !ok {
		return // it only picks, which is documented to work
	}
	band := NewBand(newState(p), 2, 1)
	for _, f := range band.Queues {
		rank, charge := r.Rank(band, f), r.Charge(f.Head())
		if math.IsNaN(rank) || math.IsInf(rank, 0) || math.IsNaN(charge) || math.IsInf(charge, 0) || charge < 0 {
			t.Errorf("flow %s: rank %v, charge %v: both must be finite, the charge not negative", f.Key.ID, rank, charge)
		}
	}
}

func newState(p policies.FairnessPolicy) any { return p.NewState(context.Background()) }

func isNil(f policies.FlowQueueAccessor) bool {
	return f == nil || fmt.Sprintf("%v", f) == "<nil>"
}

// serveNext serves what the policy picks and returns its flow's id, or "" after
// reporting that there was nothing to serve.
func serveNext(t T, p policies.FairnessPolicy, band *Band) string {
	t.Helper()
	picked, err := p.Pick(context.Background(), band)
	if err != nil || isNil(picked) || picked.Len() == 0 {
		t.Errorf("picked %v with error %v from a band with requests waiting", picked, err)
		return ""
	}
	return band.Serve(p, picked).Key.ID
}

// serveAll serves the band until it is empty and returns the order of flows.
func serveAll(t T, p policies.FairnessPolicy, band *Band) []string {
	t.Helper()
	var order []string
	left := 0
	for _, f := range band.Queues {
		left += f.Len()
	}
	for range left {
		id := serveNext(t, p, band)
		if id == "" {
			break
		}
		order = append(order, id)
	}
	return order
}
