package shard

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/weirflow/weir/internal/freelist"
	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/internal/numbered"
	"github.com/weirflow/weir/policies"
)

// Set is the queues of the shards a replica owns. It is not safe for concurrent
// use.
type Set struct {
	cfg   Config
	bands []*band             // highest priority first
	items numbered.Map[*item] // by their tickets
	// ingresses has the tickets of each ingress, in the order they came.
	ingresses map[string]*ingress
	short     []string // those that are short of room, sorted

	limited map[policies.FlowKey]*flow // flows that need room and have tickets
	counted map[*group]bool            // groups with tickets whose figures the ledger counts

	wide            bool   // twice as many are offered; see Widen
	waits           amount // of the tickets whose requests have come
	others          amount // what waits at other replicas
	kept            amount // beyond the caps of all bands, since these were lowered
	lowestElsewhere int    // the lowest priority at which anything waits in the fleet

	idle       list.List[*flow] // empty flows, longest empty first
	changed    []*item          // whose offer may differ from what was last stated
	unanswered []*item          // whose change is in the turn under way
	noted      []*group         // whose standing is to be asked for
	spare      freelist.List[item]

	failedPicks uint64
	failures    []FailedPick // to be handed out
}

// New returns an empty Set.
func New(cfg Config) *Set {
	return &Set{cfg: cfg, lowestElsewhere: math.MaxInt, ingresses: make(map[string]*ingress), limited: make(map[policies.FlowKey]*flow), counted: make(map[*group]bool)}
}

// Len returns the number of tickets.
func (s *Set) Len() int { return s.items.Len() }

// queued returns the item of a ticket that is queued here, or nil.
func (s *Set) queued(id policies.TicketID) *item { return s.items.Get(id.Ingress, id.Seq) }

// Has reports whether the ticket is queued here.
func (s *Set) Has(id policies.TicketID) bool { return s.queued(id) != nil }

// Add queues a ticket. When a cap is exceeded, tickets of flows that hold more than their
// share of the buffer are displaced until it is kept again; where that is the newcomer
// itself, it is refused. A ticket that is queued already stays as it is, but for whether its
// request has come.
func (s *Set) Add(t Ticket, now time.Time) (displaced []Ticket, refused *Refusal) {
	if s.queued(t.ID) != nil {
		if !t.Ahead {
			s.Came(t.ID)
		}
		return nil, nil
	}
	bd := s.band(t.Flow.Priority)
	if t.Bytes > bd.cfg.MaxBytes || s.cfg.MaxBytes > 0 && t.Bytes > s.cfg.MaxBytes {
		return nil, &Refusal{Cause: TooLarge}
	}
	if crowded, why := s.crowded(bd); t.Ahead && crowded != nil {
		return nil, &Refusal{Cause: why}
	}
	f := s.flow(bd, t.Flow)
	it := s.enqueue(f, &t)
	return s.makeRoom(it, now)
}

// Came notes that the request of a ticket that was ahead of it has come.
func (s *Set) Came(id policies.TicketID) {
	it := s.queued(id)
	if it == nil || !it.Ahead {
		return
	}
	it.Ahead = false
	for _, waits := range []*amount{&it.flow.waits, &it.flow.band.waits, &s.waits} {
		*waits = waits.plus(it.amount())
	}
	it.flow.band.reshare(it.flow)
}

func (s *Set) enqueue(f *flow, t *Ticket) *item {
	it := s.item(t, f)
	bd := f.band
	switch {
	case t.Sharer != "":
		it.score = f.turns.score(t.Sharer)
	case bd.scorer != nil:
		it.score = finite(bd.scorer.Score(shown{&it.Ticket}))
	case bd.line.insert(it):
		s.rescored(bd)
	}
	if bd.charger != nil {
		it.charge = charge(bd.charger, &it.Ticket, f.weight)
	}
	f.group.picks.stuck = false
	if f.len == 0 {
		if f.limited {
			s.limited[f.key] = f
		}
		f.idleNode.Remove()
		f.idle = bd.account.LiftsIdle && (!t.Waited || f.moved)
		if f.idle {
			f.lift = max(0, f.group.returns(f.known)-f.counter-f.own)
		}
	}
	s.items.Put(t.ID.Ingress, t.ID.Seq, it)
	it.queued = true
	of := s.fromIngress(it)
	f.group.comes(t.Waited && !f.moved)
	f.moved = false
	f.link(it)
	bd.waits = bd.waits.plus(t.amount())
	s.waits = s.waits.plus(t.amount())
	if of.aside != nil && !of.takes(it, s.few()) {
		of.aside[bd].setAside(it)
		bd.reshare(f)
		return it
	}
	// A ticket that goes before one already offered takes its place.
	for n := len(f.offered); n > 0 && it.before(f.offered[n-1]); n = len(f.offered) {
		s.unoffer(f.offered[n-1])
	}
	f.waiting.Push(it)
	bd.doubt(f)
	bd.rerank(f)
	bd.reshare(f)
	return it
}

// Remove takes a ticket out of its queue without dispatching it, and reports whether it
// was there.
func (s *Set) Remove(id policies.TicketID, now time.Time) bool {
	it := s.queued(id)
	if it == nil {
		return false
	}
	s.remove(it, now)
	s.reuse(it)
	return true
}

func (s *Set) remove(it *item, now time.Time) {
	f := it.flow
	s.items.Delete(it.ID.Ingress, it.ID.Seq)
	it.queued = false
	of := it.from
	of.remove(it)
	if it.Sharer != "" {
		f.turns.left(it.Sharer)
	} else if f.band.scorer == nil {
		f.band.line.remove(it)
	}
	f.group.picks.stuck = false
	f.group.goes()
	f.unlink(it)
	f.band.waits = f.band.waits.minus(it.amount())
	s.waits = s.waits.minus(it.amount())
	if it.offered {
		it.offered = false
		f.group.standsNoMore(it)
		f.unoffered(it)
		s.change(it)
	} else {
		if !it.aside {
			f.waiting.Remove(it)
		}
		f.band.rerank(f)
		if it.state != notStanding {
			s.change(it)
		}
	}
	of.went(it, s.few())
	f.band.doubt(f)
	f.band.reshare(f)
	if f.len == 0 {
		delete(s.limited, f.key)
		f.limited, f.room = f.limit.Any(), aFew // what was known is out of date by the next ticket
		f.since = now
		s.idle.PushBack(&f.idleNode)
	}
}

// Taken notes that the ledger granted a ticket of ours, and what that left its
// flow's counter at.
func (s *Set) Taken(id policies.TicketID, counter float64, now time.Time) {
	if it := s.queued(id); it != nil {
		it.flow.learn(counter)
		it.flow.group.charge(it.service())
		it.served()
		it.state = notStanding
		s.remove(it, now)
		s.went(it.flow)
		s.reuse(it)
	}
}

// Dispatched takes a ticket out of its queue that this replica dispatched, by a grant or
// in an outage.
func (s *Set) Dispatched(id policies.TicketID, now time.Time) {
	if it := s.queued(id); it != nil {
		it.served()
		s.remove(it, now)
		s.went(it.flow)
		s.reuse(it)
	}
}

// Dropped notes that the ledger no longer has our offer of a ticket, because another
// replica offers it now or its ingress has no lease.
func (s *Set) Dropped(id policies.TicketID, now time.Time) {
	if it := s.queued(id); it != nil {
		it.state = notStanding
		s.remove(it, now)
		s.reuse(it)
	}
}

// Charged moves a flow's counter as the ledger will when the settlement arrives, and those
// of its groups by so much service.
func (s *Set) Charged(key policies.FlowKey, delta, service float64) {
	f := s.known(key)
	if f == nil {
		return
	}
	if f.band.counts() {
		f.counter += delta
		f.derive()
	}
	f.group.charge(service)
}

// ChargedInOutage moves a flow's place for what this replica served in an outage, until
// Rejoin, and those of its groups.
func (s *Set) ChargedInOutage(key policies.FlowKey, delta, service float64) {
	f := s.known(key)
	if f == nil {
		return
	}
	for g := range f.group.outwards() {
		g.own += service / g.Weight
	}
	if f.band.counts() {
		f.own += delta
	}
	f.derive()
}

// known returns the flow of the key, or nil.
func (s *Set) known(key policies.FlowKey) *flow {
	if bd := s.find(key.Priority); bd != nil {
		return bd.flows[key.ID]
	}
	return nil
}

// Rejoin puts the flows back at the counters last learnt from the ledger.
func (s *Set) Rejoin() {
	for _, bd := range s.bands {
		for _, f := range bd.sorted() {
			if f.own != 0 {
				f.own = 0
				f.derive()
			}
		}
		bd.top.each(func(g *group) {
			g.own = 0
			g.placed()
		})
	}
}

// Learn passes on what was learnt from the ledger about a band: V, its level, and what
// other replicas have queued. It must be called before Answered.
func (s *Set) Learn(priority int, v, level float64, queued, bytes int64) {
	if bd := s.find(priority); bd != nil {
		bd.top.learn(v, level)
		bd.elsewhere.amount = amount{max(0, queued), max(0, bytes)}
		bd.top.each(func(g *group) {
			if g.picks.stuck {
				g.picks.stuck = false
				g.placed()
			}
		})
	}
}

// LearnOthers passes on what other replicas have queued in all bands.
func (s *Set) LearnOthers(queued, bytes int64) {
	s.others = amount{max(0, queued), max(0, bytes)}
}

// band returns the band of the priority, made on demand.
func (s *Set) band(priority int) *band {
	if len(s.bands) > 0 && s.bands[0].priority == priority { // of most Sets the only one
		return s.bands[0]
	}
	i, found := slices.BinarySearchFunc(s.bands, priority, func(bd *band, p int) int { return p - bd.priority })
	if !found {
		cfg := s.cfg.Band(priority)
		s.bands = slices.Insert(s.bands, i, newBand(s, priority, cfg, cfg.Fairness.NewState(context.Background())))
	}
	return s.bands[i]
}

// flow returns the flow of the key, made on demand.
func (s *Set) flow(bd *band, key policies.FlowKey) *flow {
	f := bd.flows[key.ID]
	if f == nil {
		f = &flow{key: key, shard: Of(key, s.cfg.Shards), band: bd, weight: s.cfg.weight(key), limit: s.cfg.LimitOf(key.ID), room: aFew}
		f.group = bd.groupOf(key.ID)
		f.limited = f.limit.Any()
		f.waiting.Init((*item).before, itemIndex)
		f.idleNode.Value = f
		bd.flows[key.ID] = f
		f.group.fresh = append(f.group.fresh, f)
		s.idle.PushBack(&f.idleNode)
	}
	return f
}

// Collect forgets ingresses without tickets, and flows and bands that have been empty
// for long enough.
func (s *Set) Collect(now time.Time) {
	for f, ok := s.idle.Front(); ok && now.Sub(f.since) >= s.cfg.Idle; f, ok = s.idle.Front() {
		f.idleNode.Remove()
		delete(f.band.flows, f.key.ID)
		f.band.emptySince, f.band.forgot = now, true
	}
	maps.DeleteFunc(s.ingresses, func(_ string, of *ingress) bool { return of.tickets.Empty() })
	s.collectBands(now)
}
