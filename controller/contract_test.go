package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
)

// comparing is an outsider's ordering policy that has Less and nothing else.
type comparing struct {
	policies.Named
	less func(a, b policies.QueueItemAccessor) bool
}

func (p comparing) Less(a, b policies.QueueItemAccessor) bool { return p.less(a, b) }

// TestLessAloneIsTheOrder has one flow's requests wait at a full pool, more than stand
// before the ledger at a time, and a better one come last.
func TestLessAloneIsTheOrder(t *testing.T) {
	largest := func(a, b policies.QueueItemAccessor) bool { return a.ByteSize() > b.ByteSize() }
	last := func(a, b policies.QueueItemAccessor) bool { return a.Arrival().After(b.Arrival()) }
	for _, replicas := range []int{1, 3} {
		for _, under := range []policies.FairnessPolicy{fairness.NewGlobalStrict("strict"), fairness.NewRoundRobin("rr")} {
			name := fmt.Sprintf("%s/%d replicas", under.TypedName().Name, replicas)
			t.Run("last come first/memory/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					orderByLess(t, "memory", replicas, under, last, func(arrival, _ int) int { return arrival })
				})
			})
			for kind := range ledgers {
				t.Run("largest first/"+kind+"/"+name, func(t *testing.T) {
					t.Parallel()
					orderByLess(t, kind, replicas, under, largest, func(_, size int) int { return size })
				})
			}
		}
	}
}

// orderByLess wants the requests to be dispatched by less, which puts those first for
// which place is greatest.
func orderByLess(
	t *testing.T, kind string, replicas int, under policies.FairnessPolicy,
	less func(a, b policies.QueueItemAccessor) bool, place func(arrival, size int) int,
) {
	m := newTeam(t, kind, replicas, WithDefaultBand(shard.BandConfig{
		Fairness: under, Ordering: comparing{policies.NewNamed("compares", "compares"), less},
	}))
	const requests = 50
	for i, n := range rand.New(rand.NewPCG(1, 2)).Perm(requests) {
		if i == requests-1 {
			m.settled(requests - 1)
			n = requests // goes before all
		}
		m.ask(i, &Request{Flow: policies.FlowKey{ID: "a"}, Bytes: int64(100 + n)}, fmt.Sprintf("%02d", place(i, n)))
		if kind == "memory" {
			time.Sleep(2 * time.Millisecond) // no two arrive at once where the clock is the test's
		}
	}
	m.settled(requests)
	got := m.finish()
	if len(got) != requests || !slices.IsSortedFunc(got, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("dispatched %v, want the greatest first", got)
	}
}

// ring is an outsider's fairness policy that only picks: it goes round by a cursor that
// it keeps in the band's state.
type ring struct {
	policies.Named
	Step   int
	made   *atomic.Int64 // states
	picks  *atomic.Int64
	broken *atomic.Bool
}

type cursor struct{ after string }

func (r *ring) NewState(context.Context) any {
	r.made.Add(1)
	return &cursor{}
}

func (r *ring) Pick(_ context.Context, band policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	r.picks.Add(1)
	if r.broken.Load() {
		return nil, errors.New("out of ideas")
	}
	at := band.State().(*cursor)
	var first, next policies.FlowQueueAccessor
	for f := range band.Flows() {
		if f.Len() == 0 {
			continue
		}
		if first == nil {
			first = f
		}
		if next == nil && f.FlowKey().ID > at.after {
			next = f
		}
	}
	if next == nil {
		next = first
	}
	if next != nil {
		at.after = next.FlowKey().ID
	}
	return next, nil
}

func newRing(step int) *ring {
	return &ring{policies.NewNamed("ring", "ring"), step, new(atomic.Int64), new(atomic.Int64), new(atomic.Bool)}
}

// TestPicksDecide has flows of three owners wait at a full pool: each owner's go in the
// order of its picks, the owners take turns, and nothing is picked ahead of dispatch but
// one at each owner.
func TestPicksDecide(t *testing.T) {
	for kind := range ledgers {
		for _, replicas := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d replicas", kind, replicas), func(t *testing.T) {
				t.Parallel()
				policy := newRing(1)
				m := newTeam(t, kind, replicas, WithDefaultBand(shard.BandConfig{Fairness: policy}))
				view, err := m.replicas[0].View(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				owners := make(map[string]string)
				const flows, each = 12, 5
				for n := range flows * each {
					flow := fmt.Sprintf("flow-%02d", n%flows)
					owners[flow] = view.Shards.OwnerOf(shard.Of(policies.FlowKey{ID: flow}, shard.Count))
					m.ask(n, request(flow), flow)
				}
				m.settled(flows * each)
				before := policy.picks.Load() // those of the request that holds the slot, and one for each owner
				if before > int64(replicas+1) {
					t.Errorf("%d picks before anything could go, %d owners", before, replicas)
				}
				order := m.finish()
				if picks := policy.picks.Load(); picks > int64(flows*each+replicas+1) {
					t.Errorf("%d picks for %d requests", picks, flows*each)
				}
				at := make(map[string]int)
				for i, flow := range order {
					mine := 0
					for _, owner := range owners {
						if owner == owners[flow] {
							mine++
						}
					}
					var ofOwner []string
					for _, f := range order[:i] {
						if owners[f] == owners[flow] {
							ofOwner = append(ofOwner, f)
						}
					}
					if n := len(ofOwner); n >= mine && ofOwner[n-mine] != flow {
						t.Fatalf("%s goes as number %d, out of turn: its owner's were %v", flow, i, ofOwner)
					}
					at[owners[flow]]++
				}
				if replicas > 1 {
					first := make(map[string]int)
					for _, flow := range order[:9] {
						first[owners[flow]]++
					}
					for owner, n := range first {
						if n < 2 || n > 4 {
							t.Errorf("%s had %d of the first 9 turns, want 3: %v", owner, n, first)
						}
					}
				}
			})
		}
	}
}

// TestPickFails has a policy that finds nothing for a while: the requests wait, an
// operator hears of it once, and all go in the end.
func TestPickFails(t *testing.T) {
	t.Parallel()
	policy := newRing(1)
	heard, logs := observer.New(zap.WarnLevel)
	m := newTeam(t, "redis", 3, WithDefaultBand(shard.BandConfig{Fairness: policy}), WithLogger(zap.New(heard)))
	policy.broken.Store(true)
	m.replicas[0].Release(m.held, Usage{})
	for n := range 30 {
		m.ask(n, request(fmt.Sprint("flow-", n%10)), "")
	}
	m.settled(30)
	failed := uint64(0)
	for _, c := range m.replicas {
		v, err := c.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		failed += v.FailedPicks
	}
	if n := logs.FilterMessageSnippet("fairness policy").Len(); n < 1 || n > 3 {
		t.Errorf("three replicas said %d times that the policy picks nothing: %v", n, logs.All())
	}
	if failed < 3 || failed > 500 {
		t.Errorf("%d failed picks are counted in a tenth of a second or more", failed)
	}
	if len(m.order) != 0 {
		t.Errorf("%d were dispatched", len(m.order))
	}
	policy.broken.Store(false)
	m.clients.Wait()
	if len(m.order) != 30 {
		t.Errorf("%d of 30 were dispatched", len(m.order))
	}
}

// TestStateIsKeptOverAReload counts the states that a policy makes while its
// configuration is loaded anew.
func TestStateIsKeptOverAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := newRing(1)
		m := newTeam(t, "memory", 1, WithDefaultBand(shard.BandConfig{Fairness: policy}), WithFlowIdle(300*time.Millisecond))
		again := func(step int) *ring {
			p := *policy
			p.Step = step
			return &p
		}
		for range 3 { // as a reload does: the same, built anew
			if err := m.replicas[0].Reconfigure(WithDefaultBand(shard.BandConfig{Fairness: again(1), MaxRequests: 100})); err != nil {
				t.Fatal(err)
			}
		}
		m.ask(0, request("a"), "a")
		m.settled(1)
		if n := policy.made.Load(); n != 1 {
			t.Errorf("%d states for one band and one policy", n)
		}
		if err := m.replicas[0].Reconfigure(WithDefaultBand(shard.BandConfig{Fairness: again(2)})); err != nil {
			t.Fatal(err)
		}
		m.settled(1)
		if n := policy.made.Load(); n != 2 {
			t.Errorf("%d states after the policy's parameters changed, want 2", n)
		}
		m.finish()
		time.Sleep(teamLease) // the band is forgotten
		m.held = request("b")
		dispatch(t, m.replicas[0], m.held)
		m.finish()
		if n := policy.made.Load(); n != 3 {
			t.Errorf("%d states after the band was idle and came back, want 3", n)
		}
	})
}
