package shard

import (
	"math"
	"slices"
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/policies"
)

// band is all flows of one priority.
type band struct {
	priority int
	set      *Set
	cfg      BandConfig
	top      *group // of what is in no group
	kind     policies.FairnessKind
	charger  policies.CountingPolicy // of a counting band
	ranker   policies.RankingPolicy  // of a ranking band
	account  policies.Account
	policy   string // the name of its book in the ledger
	capacity Capacity
	scorer   policies.Scorer // nil: the ordering policy only compares
	line     line            // of tickets that are only compared

	flows   map[string]*flow
	unsure  []*flow           // flows whose offers may have other ranks now
	untidy  []*group          // groups in which others than the best may be offered
	holders *heap.Heap[*flow] // flows with tickets, the largest share on top
	floors  []*group          // groups that are guaranteed something

	waits      amount // of those whose requests have come
	elsewhere  elsewhere
	kept       amount // beyond its caps, since these were lowered
	emptySince time.Time
	forgot     bool // flows, which its groups still list
}

// newBand returns an empty band whose policy has that state.
func newBand(s *Set, priority int, cfg BandConfig, state any) *band {
	bd := &band{
		priority: priority, set: s, cfg: cfg, account: policies.AccountOf(cfg.Fairness),
		line:  line{ordering: cfg.Ordering},
		flows: make(map[string]*flow),
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
	if s.cfg.Groups != nil {
		bd.policy += " by groups"
	}
	bd.top = newGroup(bd, nil, Group{}, state)
	return bd
}

// sorted returns the flows in the order of their groups, and of their ids in these; it may
// be the band's own slice.
func (bd *band) sorted() []*flow {
	if len(bd.top.groups) == 0 {
		return bd.top.sorted()
	}
	all := make([]*flow, 0, len(bd.flows))
	bd.top.each(func(g *group) { all = append(all, g.sorted()...) })
	return all
}

// forget drops flows that are no longer the band's, and groups without flows.
func (bd *band) forget() {
	if bd.forgot {
		bd.forgot = false
		bd.top.forget()
		bd.floors = slices.DeleteFunc(bd.floors, func(g *group) bool { return bd.group(g.Path) != g })
	}
}

// counts reports whether the band's flows go by their counters.
func (bd *band) counts() bool { return bd.kind == policies.Counting }

// charge is what serving the ticket adds to a counter of a flow of that weight.
func charge(p policies.CountingPolicy, t *Ticket, weight float64) float64 {
	return max(0, finite(p.Charge(shown{t}))) / weight
}

// rerank puts the flow in its place among those with tickets to offer.
func (bd *band) rerank(f *flow) {
	g := f.group
	defer g.placed()
	if f.waiting.Len() == 0 || f.blocked() {
		g.backlog.Remove(f)
		return
	}
	switch bd.kind {
	case policies.Counting:
		f.rank = f.Counter()
	case policies.Ranking:
		f.rank = finite(bd.ranker.Rank(g, f))
		if n := len(f.offered); n > 0 {
			f.rank = max(f.rank, f.offered[n-1].key)
		}
	case policies.Picking: // all the same
	}
	if f.backlogIndex == 0 {
		g.backlog.Push(f)
	} else {
		g.backlog.Fix(f)
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
	for it := range bd.top.standing() {
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
	f.share = bd.part(f.waits) / f.weight
	if f.holderIndex == 0 {
		bd.holders.Push(f)
	} else {
		bd.holders.Fix(f)
	}
}

// refill offers the band's best tickets.
func (s *Set) refill(bd *band) {
	bd.rederive()
	s.exchange(bd)
	bd.tidy()
	bd.offerFloors()
	top := bd.top
	for top.free() > s.places(bd) { // some are not short of room any more
		s.unoffer(top.worst())
	}
	for top.ready() {
		if top.free() >= s.places(bd) {
			if !top.improves() {
				return
			}
			s.unoffer(top.worst())
		}
		if top.free() < s.places(bd) { // else a place went with it
			top.offerNext()
		}
	}
}

// offer puts the flow's head before the ledger.
func (s *Set) offer(f *flow, key float64) {
	it := f.waiting.Pop()
	it.offered, it.key = true, key
	f.offered = append(f.offered, it)
	f.pending += it.charge
	f.group.stands(it)
	f.band.rerank(f)
	s.change(it)
}

// unoffer takes a ticket back into its flow's queue.
func (s *Set) unoffer(it *item) {
	it.offered = false
	it.flow.group.standsNoMore(it)
	it.flow.waiting.Push(it)
	it.flow.unoffered(it)
	s.change(it)
}

// finite keeps a plug-in's arithmetic from spoiling an order.
func finite(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return min(max(x, -math.MaxFloat64), math.MaxFloat64)
}
