package memory

import (
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/store"
)

// band is one priority: its books, one per policy.
type band struct {
	priority int
	limit    int64 // on requests in flight of all bands, for this one to go on
	stated   bool  // by a live replica
	offers   int
	inFlight int64           // granted and not finished, unread grants included
	share    store.Guarantee // and what of the pool it is guaranteed
	queued   int64
	bytes    int64
	books    []*book
	next     int // the book whose turn it is
}

// book is a band's account under one policy: V, and every active flow.
type book struct {
	band          *band
	policy        string
	stated        bool // by a live replica
	countsService bool
	liftsIdle     bool
	halfLife      time.Duration
	origin        int64   // the step at which one unit of service counted 1
	scale         float64 // what it counts now
	v             float64
	level         float64 // where flows begin that the book does not know; see level.go
	weight        float64 // of the flows that wait, together
	flows         map[string]*flow
	waiting       *heap.Heap[*flow] // flows with offers, the next to be served on top
	idle          list.List[*flow]  // flows without offers, longest idle first
}

// flow is one flow's counter and standing offers.
//
// Under a policy that counts service, the flow's counter is its rank: moving
// the counter (a charge, a settlement, a grant given back) moves the flow, and
// the ranks that owners state only seed a counter the book does not have.
type flow struct {
	id      string
	book    *book
	counter float64
	offers  heap.Heap[*offer]
	index   int     // in book.waiting
	weight  float64 // while it waits

	since    time.Time        // when it last had an offer or a settlement
	idleNode list.Node[*flow] // in book.idle while it has no offer
}

// offer is a ticket before the ledger; granted ones are kept until the owner
// has read so.
type offer struct {
	store.Offer
	flow    *flow
	owner   *replica
	index   int    // in flow.offers
	granted bool   // no longer standing; the owner has an unread message about it
	stamp   uint64 // the owner's turn that last stated it
}

func newBook(bd *band, s *store.Band) *book {
	return &book{
		band: bd, policy: s.Policy, countsService: s.CountsService, liftsIdle: s.LiftsIdle, halfLife: s.HalfLife, scale: 1,
		flows: make(map[string]*flow),
		waiting: heap.New(func(a, b *flow) bool {
			if ra, rb := a.rank(), b.rank(); ra != rb {
				return ra < rb
			}
			return a.offers.Min().before(b.offers.Min())
		}, func(f *flow) *int { return &f.index }),
	}
}

// rank is the place of the flow's first offer in the band; it has one.
func (f *flow) rank() float64 {
	if f.book.countsService {
		return f.counter
	}
	return f.offers.Min().Rank
}

// weight is the offer's flow's.
func (o *offer) weight() float64 {
	if o.Weight > 0 {
		return o.Weight
	}
	return 1
}

// before orders offers of equal rank.
func (o *offer) before(p *offer) bool {
	if o.Score != p.Score {
		return o.Score < p.Score
	}
	return o.Ticket.Compare(p.Ticket) < 0
}

// beforeByRank orders the offers of a flow whose service is not counted.
func (o *offer) beforeByRank(p *offer) bool {
	if o.Rank != p.Rank {
		return o.Rank < p.Rank
	}
	return o.before(p)
}

// flow returns the flow of that id, made with the given counter if it is new.
func (b *book) flow(id string, counter float64, now time.Time) *flow {
	f, known := b.flows[id]
	if !known {
		f = &flow{id: id, book: b, counter: counter * b.scale, since: now}
		f.idleNode.Value = f
		less := (*offer).before
		if !b.countsService {
			less = (*offer).beforeByRank
		}
		f.offers.Init(less, func(o *offer) *int { return &o.index })
		b.flows[id] = f
		b.idle.PushBack(&f.idleNode)
	}
	return f
}

// stand puts an offer before the book.
func (b *book) stand(o *offer, now time.Time) {
	_, known := b.flows[o.Flow]
	f := b.flow(o.Flow, o.Rank, now)
	switch {
	case !o.Idle || f.offers.Len() > 0 || !b.countsService || !b.liftsIdle:
	case known:
		// Back from idleness, in the eyes of the whole fleet: what it did not
		// use while it was away is gone.
		f.counter = max(f.counter, b.v)
	default:
		f.counter = max(f.counter, b.beginning())
	}
	o.flow = f
	f.offers.Push(o)
	f.weigh(o.weight())
	b.band.offers++
	if f.offers.Len() == 1 {
		f.idleNode.Remove()
		b.waiting.Push(f)
	} else {
		b.waiting.Fix(f)
	}
}

// leave takes an offer away from the book.
func (b *book) leave(o *offer, now time.Time) {
	f := o.flow
	f.offers.Remove(o)
	b.band.offers--
	if f.offers.Len() > 0 {
		b.waiting.Fix(f)
		return
	}
	b.waiting.Remove(f)
	f.unweigh()
	f.since = now
	b.idle.PushBack(&f.idleNode)
}

// serve takes the book's first offer and charges its flow.
func (b *book) serve(o *offer, now time.Time) {
	f := o.flow
	b.v = max(b.v, f.rank())
	if b.countsService {
		b.level = max(b.level, f.counter)
		f.counter += o.Charge * b.scale
		b.follow(o.Charge*b.scale, f.counter, f.weight)
	}
	b.leave(o, now)
}

// settle adds delta to the counter of a flow of that weight; a counter that was collected
// starts from what the settled grant left. Without a weight the level stays where it is.
func (b *book) settle(id string, delta, counter, weight float64, now time.Time) {
	if !b.countsService {
		return
	}
	f := b.flow(id, counter, now)
	delta *= b.scale
	f.counter += delta
	if weight > 0 && delta > 0 {
		b.follow(delta, f.counter, weight)
	} else if weight > 0 {
		b.refund(delta, f.counter, weight)
	}
	f.settled(now)
}

// spent charges a flow for what was let go by float, as if it had been granted; but V
// passes no flow that waits, since that was not asked.
func (b *book) spent(st *store.Settlement, now time.Time) {
	if !b.countsService {
		return
	}
	_, known := b.flows[st.Flow]
	f := b.flow(st.Flow, st.Counter, now)
	switch {
	case !b.liftsIdle || f.offers.Len() > 0:
	case known:
		f.counter = max(f.counter, b.v)
	default:
		f.counter = max(f.counter, b.beginning())
	}
	reached := f.counter + st.Delta*b.scale - st.Last*b.scale
	if b.waiting.Len() > 0 {
		reached = min(reached, b.waiting.Min().rank())
	}
	f.counter += st.Delta * b.scale
	b.v, b.level = max(b.v, reached), max(b.level, reached)
	b.follow(st.Delta*b.scale, f.counter, st.Weight)
	f.settled(now)
}

// settled puts the flow in its place after a settlement.
func (f *flow) settled(now time.Time) {
	f.moved()
	if f.offers.Len() > 0 {
		return
	}
	f.since = now
	f.idleNode.Remove()
	f.book.idle.PushBack(&f.idleNode)
}

// moved puts the flow in its place after its counter changed.
func (f *flow) moved() {
	if f.offers.Len() > 0 {
		f.book.waiting.Fix(f)
	}
}

// book returns the band's book under the stated policy, made if need be.
func (bd *band) book(s *store.Band) *book {
	b := bd.named(s.Policy)
	if b == nil {
		b = newBook(bd, s)
		bd.books = append(bd.books, b)
	}
	return b
}

// named returns the band's book of that name, or nil.
func (bd *band) named(policy string) *book {
	for _, b := range bd.books {
		if b.policy == policy {
			return b
		}
	}
	return nil
}

// first returns the offer that goes next, from the books in turn, or nil.
func (bd *band) first() (*book, *offer) {
	for range bd.books {
		b := bd.books[bd.next%len(bd.books)]
		if b.waiting.Len() > 0 {
			return b, b.waiting.Min().offers.Min()
		}
		bd.next++
	}
	return nil, nil
}

// bookNamed returns the book of that name in the band of that priority, or nil.
func bookNamed(bands []*band, priority int, policy string) *book {
	if bd := find(bands, priority); bd != nil {
		return bd.named(policy)
	}
	return nil
}

// find returns the band of that priority, or nil.
func find(bands []*band, priority int) *band {
	for _, bd := range bands {
		if bd.priority == priority {
			return bd
		}
	}
	return nil
}
