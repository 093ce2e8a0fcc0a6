package storetest

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/store"
)

// Newcomers draws a stream of flows of one request each, without end, beside a few that
// always have requests waiting, and checks that the stream delays none of these for long:
// between two grants to one of them there are at most two for each flow that waited
// meanwhile. One for each is what a newcomer may cost that came before; the other is for
// those that came while the level rose by a charge. See store/memory/level.go.
func Newcomers(t *rapid.T, ledger store.Ledger) {
	p := newParty(t, ledger, "r0", counting(0, 0))
	p.turn(nil)
	weights := map[string]float64{}
	for i := range rapid.IntRange(1, 6).Draw(t, "steady flows") {
		weights[fmt.Sprint("steady-", i)] = float64(rapid.IntRange(1, 3).Draw(t, "weight"))
	}
	s := newcomers{party: p, weights: weights, standing: map[string]int{}, since: map[string]int{}, most: map[string]int{}}
	for range rapid.IntRange(20, 150).Draw(t, "grants") {
		fresh := rapid.IntRange(0, 4).Draw(t, "newcomers")
		if rapid.IntRange(0, 9).Draw(t, "a crowd") == 0 {
			fresh = 30
		}
		s.step(fresh)
		for flow := range weights {
			if bound := 2 * s.most[flow]; s.since[flow] > bound {
				t.Fatalf("%s waits while %d others were granted; there were never more than %d flows that waited", flow, s.since[flow], s.most[flow])
			}
		}
	}
}

// newcomers is a replica with steady flows and a stream of fresh ones.
type newcomers struct {
	*party
	weights  map[string]float64
	standing map[string]int
	since    map[string]int // grants to others since its own last
	most     map[string]int // flows that waited at once since then
	tickets  int
	fresh    int
	served   map[string]int
}

// step has fresh flows come, tops the steady ones' offers up, and has one request granted.
func (n *newcomers) step(fresh int) {
	var os []store.Offer
	offer := func(flow string, weight float64, idle bool) {
		n.tickets++
		o := n.offer(n.tickets, flow, 0)
		o.Charge, o.Weight, o.Idle = 1/weight, weight, idle
		os = append(os, o)
		n.standing[flow]++
	}
	for i := range len(n.weights) {
		flow := fmt.Sprint("steady-", i)
		for n.standing[flow] < 2 {
			offer(flow, n.weights[flow], n.standing[flow] == 0)
		}
	}
	for range fresh {
		n.fresh++
		offer(fmt.Sprint("fresh-", n.fresh), 1, true)
	}
	n.bands[0].Limit = 0
	n.turn(offers(os...))
	for flow := range n.weights {
		n.most[flow] = max(n.most[flow], len(n.standing))
	}
	n.bands[0].Limit = n.bands[0].InFlight + 1
	n.turn(nil)
	flow, _, _ := strings.Cut(n.grants(), "/")
	if n.standing[flow]--; n.standing[flow] == 0 {
		delete(n.standing, flow)
	}
	if n.served != nil {
		n.served[flow]++
	}
	for other := range n.weights {
		n.since[other]++
	}
	if n.weights[flow] > 0 {
		n.since[flow], n.most[flow] = 0, 0
	}
}

// newcomersDoNotStarve has fresh flows come at three times what is granted, beside two
// steady ones.
func newcomersDoNotStarve(t *testing.T, l store.Ledger, _ *Clock) {
	p := newParty(t, l, "a", counting(0, 0))
	p.turn(nil)
	s := newcomers{
		party: p, weights: map[string]float64{"steady-0": 1, "steady-1": 1},
		standing: map[string]int{}, since: map[string]int{}, most: map[string]int{}, served: map[string]int{},
	}
	var share float64 // of one flow of those that wait
	for range 200 {
		s.step(3)
		share += 1 / float64(len(s.standing))
	}
	for flow := range s.weights {
		if got := float64(s.served[flow]); got < 0.9*share {
			t.Errorf("%s was granted %v of 200; a flow's share of those that waited is %.1f", flow, got, share)
		}
	}
}

// newcomerComesAtTheLevel has a flow that the ledger does not know, and one that it does,
// come while others wait.
func newcomerComesAtTheLevel(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(offers(a.offer(1, "known", 0)))
	a.finish(1)
	var os []store.Offer
	for n := range 4 {
		os = append(os, a.offer(10+n, "f", 0), a.offer(20+n, "g", 0))
	}
	a.turn(offers(os...))
	want(t, "so far", a.grants(), "known/1 f/10")
	idle := func(n int, flow string) store.Offer {
		o := a.offer(n, flow, 0)
		o.Idle = true
		return o
	}
	// known and f stand at 1, g at 0. The fluid server has served known one alone, and f
	// and g a half each of one more.
	r := a.turn(offers(idle(30, "new"), idle(31, "known")))
	if v, level := r.Bands[0].VirtualTime, r.Bands[0].Level; v != 0 || level != 1.5 {
		t.Errorf("V is %v and the level %v, want 0 and 1.5", v, level)
	}
	for range 5 {
		a.finish(1)
		a.turn(nil)
	}
	want(t, "a flow that is known comes with those that were just served, and one that is not behind them",
		a.grants(), "g/20 f/11 g/21 known/31 new/30")
}

// levelFollowsSettlements corrects a charge in both directions.
func levelFollowsSettlements(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 0), a.offer(3, "g", 0)))
	for _, c := range []struct {
		delta, weight, level float64
	}{
		{8, 1, 4.5},     // over the weights of f and g
		{-4, 1, 4.5},    // f stands at 5: less would let newcomers go before it
		{-1, 0, 4.5},    // returned by the ledger itself
		{-4, 1, 2.5},    // f is at 0
		{100, 2, 102.5}, // f is at 100
	} {
		level := a.turn(func(s *store.Statement) {
			s.Settlements = []store.Settlement{{Flow: "f", Policy: "fair", Delta: c.delta, Counter: 1, Weight: c.weight}}
		}).Bands[0].Level
		if level != c.level {
			t.Errorf("after a settlement of %v the level is %v, want %v", c.delta, level, c.level)
		}
	}
}
