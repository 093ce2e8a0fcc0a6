package shard

import (
	"context"
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
	cfg      BandConfig
	state    any
	ranker   policies.Ranker // nil: the policy only picks
	scorer   policies.Scorer // nil: the ordering policy only compares
	order    func(a, b *item) bool
	account  policies.Account
	v        float64 // virtual time, as the ledger last told

	flows   map[string]*flow
	backlog *heap.Heap[*flow] // flows with tickets to offer, lowest rank on top
	offered *heap.Heap[*item] // tickets before the ledger, the worst on top
	holders *heap.Heap[*flow] // flows with tickets, the largest share on top

	len, bytes  int64
	others      int64 // what other replicas have queued in the band
	othersBytes int64
	emptySince  time.Time
}

func newBand(priority int, cfg BandConfig) *band {
	bd := &band{
		priority: priority, cfg: cfg, account: policies.AccountOf(cfg.Fairness),
		state: cfg.Fairness.NewState(context.Background()),
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
	bd.ranker, _ = cfg.Fairness.(policies.Ranker)
	bd.scorer, _ = cfg.Ordering.(policies.Scorer)
	bd.order = bd.less
	return bd
}

// The band implements policies.PriorityBandAccessor.

func (bd *band) Priority() int        { return bd.priority }
func (bd *band) State() any           { return bd.state }
func (bd *band) VirtualTime() float64 { return bd.v }
func (bd *band) Len() int             { return len(bd.flows) }

func (bd *band) Flows() iter.Seq[policies.FlowQueueAccessor] {
	return func(yield func(policies.FlowQueueAccessor) bool) {
		for _, f := range bd.sorted() {
			if !yield(f) {
				return
			}
		}
	}
}

// sorted returns the flows in the order of their ids.
func (bd *band) sorted() []*flow {
	flows := make([]*flow, 0, len(bd.flows))
	for _, f := range bd.flows {
		flows = append(flows, f)
	}
	slices.SortFunc(flows, func(a, b *flow) int { return strings.Compare(a.key.ID, b.key.ID) })
	return flows
}

// less orders two tickets of a flow.
func (bd *band) less(a, b *item) bool {
	if bd.scorer == nil {
		if bd.cfg.Ordering.Less(a, b) {
			return true
		}
		if bd.cfg.Ordering.Less(b, a) {
			return false
		}
	}
	return a.before(b)
}

// passed takes in that V has moved on. An offer that stood meanwhile and whose
// rank is below V would have been served first; if it was not, its flow has been
// served at another owner, whose tickets arrived earlier. The flow is then
// reckoned to be at V, or it would hold its places among the best offers while
// flows that are really behind are not offered at all.
func (bd *band) passed() {
	if !bd.account.CountsService {
		return
	}
	var behind []*flow
	for _, it := range bd.offered.Items() {
		if it.told == standing && it.key < bd.v && it == it.flow.offered[0] {
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
	if bd.ranker == nil {
		return
	}
	if f.waiting.Len() == 0 || f.blocked() {
		bd.backlog.Remove(f)
		return
	}
	f.rank = finite(bd.ranker.Rank(bd, f))
	if f.backlogIndex == 0 {
		bd.backlog.Push(f)
	} else {
		bd.backlog.Fix(f)
	}
}

// reshare puts the flow in its place among those that hold the buffer. Its
// share is the larger of its shares of the two caps, for its weight.
func (bd *band) reshare(f *flow) {
	if f.len == 0 {
		bd.holders.Remove(f)
		return
	}
	f.share = max(float64(f.len)/float64(bd.cfg.MaxRequests), float64(f.bytes)/float64(bd.cfg.MaxBytes)) / f.weight
	if f.holderIndex == 0 {
		bd.holders.Push(f)
	} else {
		bd.holders.Fix(f)
	}
}

// full reports whether the band holds more than it may.
func (bd *band) full() bool {
	return bd.len+bd.others > bd.cfg.MaxRequests || bd.bytes+bd.othersBytes > bd.cfg.MaxBytes
}

// refill offers the band's best tickets.
func (s *Set) refill(bd *band) {
	if bd.ranker == nil {
		s.refillByTurns(bd)
		return
	}
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

// refillByTurns offers what a policy without ranks picks: its k-th standing
// pick is ranked k turns after V, so that the picks of all replicas take turns.
func (s *Set) refillByTurns(bd *band) {
	for bd.offered.Len() < s.cfg.OffersPerBand {
		picked, err := bd.cfg.Fairness.Pick(context.Background(), bd)
		f, ok := picked.(*flow)
		if err != nil || !ok || f == nil || f.waiting.Len() == 0 || f.blocked() {
			return
		}
		s.offer(f, bd.v+float64(bd.offered.Len()))
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
