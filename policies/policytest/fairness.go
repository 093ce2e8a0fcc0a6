package policytest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/weirflow/weir/policies"
)

// Fairness checks that the policies which make returns keep the contract of
// [policies.FairnessPolicy] and of their kind.
func Fairness(t *testing.T, make func() policies.FairnessPolicy) {
	t.Helper()
	run(t, FairnessChecks(), make)
}

// FairnessChecks returns the suite's checks. Those of a kind pass policies of others.
func FairnessChecks() []Check[policies.FairnessPolicy] {
	return []Check[policies.FairnessPolicy]{
		named[policies.FairnessPolicy](),
		{"OfOneKind", ofOneKind},
		{"NilAndEmptyBands", nilAndEmpty},
		{"EmptyQueuesAreSkipped", emptySkipped},
		{"EveryRequestIsServedOnce", servedOnce},
		{"NoFlowStarves", noStarvation},
		{"Deterministic", deterministic},
		{"StateOnlyThroughNewState", stateOnly},
		{"SafeForConcurrentUse", concurrent},
		{"PickAgrees", pickAgrees},
		{"ChargesAndRanks", chargesAndRanks},
		{"DispatchedByTwoReplicas", dispatched},
	}
}

func ofOneKind(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	if _, err := policies.KindOf(make()); err != nil {
		t.Errorf("%v", err)
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
// other were not there, and the policy must be as new afterwards.
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
	unchanged(t, make(), p)
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

// pickAgrees compares Pick with what decides in the dispatch, in bands of every shape.
func pickAgrees(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p := make()
	var place func(b *Band, f *Flow) float64
	switch p := p.(type) {
	case policies.CountingPolicy:
		place = func(_ *Band, f *Flow) float64 { return f.Counter() }
	case policies.RankingPolicy:
		place = func(b *Band, f *Flow) float64 { return p.Rank(b, f) }
	default:
		return
	}
	draw := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		band := NewBand(newState(p), draw.IntN(4), draw.IntN(4), draw.IntN(4), 1+draw.IntN(4))
		for _, f := range band.Queues {
			f.Share, f.Service = float64(1+draw.IntN(3)), float64(draw.IntN(5))
			for _, i := range f.Items {
				i.Size, i.Input, i.Output = draw.Int64N(1000), draw.Int64N(1000), draw.Int64N(1000)
			}
		}
		picked, err := p.Pick(context.Background(), band)
		f, ok := picked.(*Flow)
		if err != nil || !ok || f.Len() == 0 {
			t.Errorf("picked %v with error %v from a band with requests waiting", picked, err)
			return
		}
		for _, g := range band.Queues {
			if g.Len() > 0 && place(band, g) < place(band, f) {
				t.Errorf("Pick chose flow %s at %v, the dispatch goes by %s at %v", f.Key.ID, place(band, f), g.Key.ID, place(band, g))
				return
			}
		}
	}
}

func chargesAndRanks(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p := make()
	band := NewBand(newState(p), 2, 1)
	for _, f := range band.Queues {
		number, ask := "Charge", func() float64 { return 0 }
		switch p := p.(type) {
		case policies.CountingPolicy:
			ask = func() float64 { return p.Charge(f.Head()) }
			if c := ask(); c < 0 {
				t.Errorf("flow %s: Charge is %v, it must not be negative", f.Key.ID, c)
			}
		case policies.RankingPolicy:
			number, ask = "Rank", func() float64 { return p.Rank(band, f) }
		}
		first := ask()
		if math.IsNaN(first) || math.IsInf(first, 0) {
			t.Errorf("flow %s: %s is %v, it must be finite", f.Key.ID, number, first)
		}
		if again := ask(); again != first {
			t.Errorf("flow %s: %s is %v, and then %v, of the same", f.Key.ID, number, first, again)
		}
	}
}

// dispatched runs the policy where it is to run: flows that always have requests, at two
// replicas, half of them at both.
func dispatched(t T, make func() policies.FairnessPolicy) {
	t.Helper()
	p := make()
	charger, counts := p.(policies.CountingPolicy)
	d := newDispatch(p, nil)
	flows := []string{"a", "b", "c", "d"}
	add := func(flow string, n int) {
		d.enqueue(n, flow, &Item{Size: 100, Input: int64(10 + n%7), Output: int64(20 + n%5)})
	}
	for n, flow := range flows {
		for i := range 3 {
			add(flow, n+i)
		}
	}
	const rounds = 400
	served, cost, most := map[string]int{}, map[string]float64{}, 0.0
	for n := range rounds {
		request := d.next()
		if request == nil {
			t.Errorf("nothing was dispatched as number %d, with requests of all flows waiting; failed picks: %v", n, d.failures)
			return
		}
		flow := request.Key.ID
		served[flow]++
		if counts {
			c := charger.Charge(request)
			cost[flow] += c
			most = max(most, c)
		}
		replica := n
		if flow < "c" {
			replica = int(flow[0]) // a and b have one owner each
		}
		add(flow, replica)
	}
	for _, flow := range flows {
		if served[flow] == 0 {
			t.Errorf("flow %s was never served in %d turns: %v", flow, rounds, served)
		}
		for _, other := range flows {
			if gap := cost[flow] - cost[other]; gap > 3*most+1e-9 {
				t.Errorf("flow %s was served %v more than %s, a request costs up to %v", flow, gap, other, most)
			}
		}
	}
	if len(d.failures) > 0 {
		t.Errorf("picks failed: %v", d.failures)
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
