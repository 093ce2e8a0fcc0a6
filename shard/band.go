package shard

import (
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/policies"
)

// band is all flows of one priority.
type band struct {
	priority int
	set      *Set
	cfg      BandConfig
	state    any
	kind     policies.FairnessKind
	charger  policies.CountingPolicy // of a counting band
	ranker   policies.RankingPolicy  // of a ranking band
	picks    picks                   // of a picking band
	account  policies.Account
	policy   string // the name of its book in the ledger
	capacity Capacity
	scorer   policies.Scorer // nil: the ordering policy only compares
	line     line            // of tickets that are only compared
	v, level float64         // virtual time, and where flows begin, as last learnt from the ledger

	flows   map[string]*flow
	byID    []*flow // in the order of their ids, without fresh
	fresh   []*flow
	unsure  []*flow           // flows whose offers may have other ranks now
	view    standingView      // that the ranker is asked by
	backlog *heap.Heap[*flow] // flows with tickets to offer, lowest rank on top
	offered *heap.Heap[*item] // tickets before the ledger, the worst on top
	holders *heap.Heap[*flow] // flows with tickets, the largest share on top

	len, bytes int64
	elsewhere  elsewhere
	kept       amount // beyond its caps, since these were lowered
	emptySince time.Time
}

// newBand returns an empty band whose policy has that state.
func newBand(s *Set, priority int, cfg BandConfig, state any) *band {
	bd := &band{
		priority: priority, set: s, cfg: cfg, state: state, account: policies.AccountOf(cfg.Fairness),
		line:  line{ordering: cfg.Ordering},
		flows: make(map[string]*flow),
		backlog: heap.New(func(a, b *flow) bool {
			if a.rank != b.rank {
				return a.rank < b.rank
			}
			return a.waiting.Min().before(b.waiting.Min())
		}, func(f *flow) *int { return &f.backlogIndex }),
		offered: heap.New(func(a, b *item) bool { return a.compareRank(b) > 0 }, func(it *item) *int { return &it.offerIndex }),
		holders: heap.New(func(a, b *flow) bool {
			if a.share != b.share {
				return a.share > b.share
			}
			return a.key.ID < b.key.ID
		}, func(f *flow) *int { return &f.holderIndex }),
	}
	bd.policy = cfg.Fairness.TypedName().String()
	if bd.account.Unit != "" {
		bd.policy += " in " + bd.account.Unit
	}
	bd.kind, _ = policies.KindOf(cfg.Fairness) // see Validate
	bd.charger, _ = cfg.Fairness.(policies.CountingPolicy)
	bd.ranker, _ = cfg.Fairness.(policies.RankingPolicy)
	bd.scorer, _ = cfg.Ordering.(policies.Scorer)
	return bd
}

// The band implements policies.PriorityBandAccessor.

func (bd *band) Priority() int { return bd.priority }
func (bd *band) State() any    { return bd.state }
func (bd *band) Len() int      { return len(bd.flows) }

func (bd *band) Flows() iter.Seq[policies.FlowQueueAccessor] {
	return func(yield func(policies.FlowQueueAccessor) bool) {
		for _, f := range bd.sorted() {
			if !yield(f) {
				return
			}
		}
	}
}

// sorted returns the flows in the order of their ids; the slice is the band's own. A
// few new flows since the last call are put in their places, many are sorted in.
func (bd *band) sorted() []*flow {
	byID := func(a, b *flow) int { return strings.Compare(a.key.ID, b.key.ID) }
	if len(bd.fresh) > 8 {
		bd.byID = append(bd.byID, bd.fresh...)
		slices.SortFunc(bd.byID, byID)
	} else {
		for _, f := range bd.fresh {
			at, _ := slices.BinarySearchFunc(bd.byID, f, byID)
			bd.byID = slices.Insert(bd.byID, at, f)
		}
	}
	clear(bd.fresh)
	bd.fresh = bd.fresh[:0]
	return bd.byID
}

// forget drops flows that are no longer the band's.
func (bd *band) forget() {
	if len(bd.flows) < len(bd.byID)+len(bd.fresh) {
		gone := func(f *flow) bool { return bd.flows[f.key.ID] != f }
		bd.byID, bd.fresh = slices.DeleteFunc(bd.byID, gone), slices.DeleteFunc(bd.fresh, gone)
	}
}

// counts reports whether the band's flows go by their counters.
func (bd *band) counts() bool { return bd.kind == policies.Counting }

// returns is where the ledger puts a flow, at least, that comes back from idleness.
func (bd *band) returns(f *flow) float64 {
	if f.known {
		return bd.v
	}
	return max(bd.v, bd.level)
}

// charge is what serving the ticket adds to a counter of a flow of that weight.
func charge(p policies.CountingPolicy, it *item, weight float64) float64 {
	return max(0, finite(p.Charge(it))) / weight
}

// passed handles an advance of V. A standing offer that ranks below V should have been
// granted first; if it was not, its flow was served through another owner, whose tickets
// arrived earlier. Such a flow is treated as being at V: otherwise it would keep its
// places among the best offers, and flows that are really behind would not be offered.
func (bd *band) passed() {
	if !bd.counts() {
		return
	}
	var behind []*flow
	for _, it := range bd.offered.Items() {
		if it.state == standing && it.key < bd.v && it == it.flow.offered[0] {
			behind = append(behind, it.flow)
		}
	}
	for _, f := range behind {
		f.lift += bd.v - f.offered[0].key
		f.derive()
	}
}

// rerank puts the flow in its place among those with tickets to offer.
func (bd *band) rerank(f *flow) {
	if f.waiting.Len() == 0 || f.blocked() {
		bd.backlog.Remove(f)
		return
	}
	switch bd.kind {
	case policies.Counting:
		f.rank = f.Counter()
	case policies.Ranking:
		f.rank = finite(bd.ranker.Rank(bd, f))
		if n := len(f.offered); n > 0 {
			f.rank = max(f.rank, f.offered[n-1].key)
		}
	case policies.Picking: // all the same
	}
	if f.backlogIndex == 0 {
		bd.backlog.Push(f)
	} else {
		bd.backlog.Fix(f)
	}
}

// doubt notes that the flow's tickets are others now, by which a ranker may give those
// of them that stand other ranks.
func (bd *band) doubt(f *flow) {
	if bd.kind == policies.Ranking && len(f.offered) > 0 && !f.unsure {
		f.unsure = true
		bd.unsure = append(bd.unsure, f)
	}
}

// rederive works out the ranks of the flows in doubt.
func (bd *band) rederive() {
	for _, f := range bd.unsure {
		f.unsure = false
		f.derive()
	}
	clear(bd.unsure)
	bd.unsure = bd.unsure[:0]
}

// rescored notes that the scores of the band's tickets are others now, in the same
// order: what stands is to be said again.
func (s *Set) rescored(bd *band) {
	for _, it := range bd.offered.Items() {
		s.change(it) // those taken back since the last turn are among the changed
	}
	if bd.kind != policies.Ranking {
		return
	}
	for _, f := range bd.sorted() {
		bd.doubt(f)
		bd.rerank(f)
	}
}

// reshare puts the flow in its place among those that hold the buffer. Its
// share is the larger of its shares of the two caps, for its weight.
func (bd *band) reshare(f *flow) {
	if f.len == 0 {
		bd.holders.Remove(f)
		return
	}
	f.share = bd.part(amount{int64(f.len), f.bytes}) / f.weight
	if f.holderIndex == 0 {
		bd.holders.Push(f)
	} else {
		bd.holders.Fix(f)
	}
}

// refill offers the band's best tickets.
func (s *Set) refill(bd *band) {
	if bd.kind == policies.Picking {
		s.refillByTurns(bd)
		return
	}
	bd.rederive()
	for bd.backlog.Len() > 0 {
		f := bd.backlog.Min()
		if bd.offered.Len() >= s.cfg.OffersPerBand {
			worst := bd.offered.Min()
			if f.rank > worst.key || f.rank == worst.key && !f.waiting.Min().before(worst) {
				return
			}
			s.unoffer(worst)
		}
		s.offer(f, f.rank)
	}
}

// offer puts the flow's head before the ledger.
func (s *Set) offer(f *flow, key float64) {
	it := f.waiting.Pop()
	it.offered, it.key = true, key
	f.offered = append(f.offered, it)
	f.pending += it.charge
	f.band.offered.Push(it)
	f.band.rerank(f)
	s.change(it)
}

// unoffer takes a ticket back into its flow's queue.
func (s *Set) unoffer(it *item) {
	it.offered = false
	it.flow.band.offered.Remove(it)
	it.flow.waiting.Push(it)
	it.flow.unoffered(it)
	s.change(it)
}

// byRank returns the band's offers, lowest rank first.
func (bd *band) byRank() []*item {
	items := slices.Clone(bd.offered.Items())
	slices.SortFunc(items, (*item).compareRank)
	return items
}

// finite keeps a plug-in's arithmetic from spoiling an order.
func finite(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return min(max(x, -math.MaxFloat64), math.MaxFloat64)
}
