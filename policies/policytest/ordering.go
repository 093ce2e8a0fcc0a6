package policytest

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
)

// Ordering checks that the order of the policies which make returns is one, that their
// scores, where they have any, give the same, and that requests are dispatched in it.
func Ordering(t *testing.T, make func() policies.OrderingPolicy) {
	t.Helper()
	run(t, OrderingChecks(), make)
}

// OrderingChecks returns the suite's checks.
func OrderingChecks() []Check[policies.OrderingPolicy] {
	return []Check[policies.OrderingPolicy]{
		named[policies.OrderingPolicy](),
		{"StrictWeakOrder", strictWeak},
		{"ScoreAgreesWithLess", scoreAgrees},
		{"DispatchedInOrder", dispatchedInOrder},
	}
}

// anyItem draws a request whose values often equal another's.
func anyItem(draw *rand.Rand) *Item {
	i := &Item{
		At: epoch.Add(time.Duration(draw.IntN(6)) * time.Second), Size: draw.Int64N(4) * 100,
		Input: draw.Int64N(4) * 100, Output: draw.Int64N(4) * 100, TTFT: time.Duration(draw.IntN(4)) * time.Second,
	}
	if draw.IntN(2) == 0 {
		i.Until = i.At.Add(time.Duration(1+draw.IntN(3)) * time.Minute)
	}
	return i
}

func strictWeak(t T, make func() policies.OrderingPolicy) {
	t.Helper()
	p := make()
	draw := rand.New(rand.NewPCG(3, 4))
	equal := func(a, b *Item) bool { return !p.Less(a, b) && !p.Less(b, a) }
	for range 5000 {
		a, b, c := anyItem(draw), anyItem(draw), anyItem(draw)
		fault, first := "", p.Less(a, b)
		switch {
		case p.Less(a, a):
			fault = "a request goes before itself"
		case p.Less(a, b) && p.Less(b, a):
			fault = "two requests go before each other"
		case p.Less(a, b) != first:
			fault = "an answer changes"
		case p.Less(a, b) && p.Less(b, c) && !p.Less(a, c):
			fault = "a goes before b, b before c, and a not before c"
		case equal(a, b) && equal(b, c) && !equal(a, c):
			fault = "a is level with b, b with c, and a not with c"
		}
		if fault != "" {
			t.Errorf("Less is no strict weak order: %s: a %+v, b %+v, c %+v", fault, a, b, c)
			return
		}
	}
}

func scoreAgrees(t T, make func() policies.OrderingPolicy) {
	t.Helper()
	p := make()
	s, ok := p.(policies.Scorer)
	if !ok {
		return
	}
	draw := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		a, b := anyItem(draw), anyItem(draw)
		x, y := s.Score(a), s.Score(b)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			t.Errorf("the score of %+v is %v, it must be finite", a, x)
			return
		}
		if p.Less(a, b) != (x < y) {
			t.Errorf("Less says %v of %+v and %+v, their scores are %v and %v", p.Less(a, b), a, b, x, y)
			return
		}
	}
}

// dispatchedInOrder has more requests wait than stand before the ledger at a time, and
// others come while they go.
func dispatchedInOrder(t T, make func() policies.OrderingPolicy) {
	t.Helper()
	p := make()
	d := newDispatch(nil, p)
	draw := rand.New(rand.NewPCG(7, 8))
	waiting := map[*Item]bool{}
	add := func() {
		i := anyItem(draw)
		if !i.Until.IsZero() {
			i.Until = epoch.Add(time.Duration(1+draw.IntN(5)) * time.Hour)
		}
		d.enqueue(0, "flow", i)
		waiting[i] = true
	}
	for range 60 {
		add()
	}
	for n := range 120 {
		if n < 60 {
			add()
		}
		d.settle(2)
		got := d.next()
		if got == nil {
			t.Errorf("nothing was dispatched as number %d, with %d requests waiting; %v", n, len(waiting), d.failures)
			return
		}
		delete(waiting, got)
		for i := range waiting {
			if p.Less(i, got) {
				t.Errorf("dispatched as number %d: %+v, before %+v", n, got, i)
				return
			}
		}
	}
}
