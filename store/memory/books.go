package memory

import (
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/store"
)

// book is a band's account under one policy: V, and every active flow.
type book struct {
	node          // of the flows and groups that are in no group
	band          *band
	policy        string
	stated        bool // by a live replica
	countsService bool
	liftsIdle     bool
	halfLife      time.Duration
	origin        int64            // the step at which one unit of service counted 1
	scale         float64          // what it counts now
	groups        map[string]*flow // by their paths
}

// node is where flows are compared, and groups of flows: the top of a book, or a group.
type node struct {
	book    *book
	as      *flow   // the group, as it stands among its like; nil at the top
	share   float64 // the group's weight, as last stated
	v       float64
	level   float64 // where flows begin that are not known here; see level.go
	weight  float64 // of what waits, together
	flows   map[string]*flow
	waiting *heap.Heap[*flow] // what has offers, the next to be served on top
	idle    list.List[*flow]  // what has none, longest idle first
	groups  int               // those that are in it
}

// flow is one flow's counter and standing offers.
//
// Under a policy that counts service, the flow's counter is its rank: moving
// the counter (a charge, a settlement, a grant given back) moves the flow, and
// the ranks that owners state only seed a counter the book does not have.
//
// A group of flows stands among its like as a flow does; its offers are those of what is in
// it, and it goes by its counter under every policy. See groups.go.
type flow struct {
	id      string // or the group's path
	in      *node  // where it is compared
	group   *node  // nil for a flow
	known   bool   // of a group: it has a counter
	counter float64
	offers  heap.Heap[*offer]
	index   int     // in in.waiting
	weight  float64 // while it waits

	since    time.Time        // when it last had an offer or a settlement
	idleNode list.Node[*flow] // in in.idle while nothing of it stands
}

// offer is a ticket before the ledger; granted ones are kept until the owner
// has read so.
type offer struct {
	store.Offer
	flow    *flow
	owner   *replica
	index   int    // in flow.offers
	granted bool   // no longer standing; the owner has an unread message that says so
	listed  bool   // it is the one of its ticket in Ledger.offers
	stamp   uint64 // the owner's turn that last stated it
}

func newBook(bd *band, s *store.Band) *book {
	b := &book{
		band: bd, policy: s.Policy, countsService: s.CountsService, liftsIdle: s.LiftsIdle, halfLife: s.HalfLife, scale: 1,
		groups: make(map[string]*flow),
	}
	b.node = *newNode(b)
	return b
}

func newNode(b *book) *node {
	return &node{
		book: b, share: 1, flows: make(map[string]*flow),
		waiting: heap.New((*flow).before, func(f *flow) *int { return &f.index }),
	}
}

// before is the order in which flows and groups are served.
func (f *flow) before(other *flow) bool {
	if a, b := f.rank(), other.rank(); a != b {
		return a < b
	}
	switch {
	case f.group == nil && other.group == nil:
		return f.offers.Min().before(other.offers.Min())
	case f.group != nil && other.group != nil:
		return f.id < other.id
	}
	return f.group != nil
}

// rank is the place of the flow's first offer, or the group's; it has one.
func (f *flow) rank() float64 {
	if f.group != nil || f.in.book.countsService {
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
func (n *node) flow(id string, counter float64, now time.Time) *flow {
	f, known := n.flows[id]
	if !known {
		f = &flow{id: id, in: n, counter: counter * n.book.scale, since: now}
		f.idleNode.Value = f
		less := (*offer).before
		if !n.book.countsService {
			less = (*offer).beforeByRank
		}
		f.offers.Init(less, func(o *offer) *int { return &o.index })
		n.flows[id] = f
		n.idle.PushBack(&f.idleNode)
	}
	return f
}

// stand puts an offer before the book.
func (n *node) stand(o *offer, now time.Time) {
	_, known := n.flows[o.Flow]
	f, began := n.flow(o.Flow, o.Rank, now), n.waiting.Len() == 0
	if o.Idle && f.offers.Len() == 0 {
		f.lift(known)
	}
	o.flow = f
	f.offers.Push(o)
	if n.book.countsService {
		f.weigh(o.weight())
	}
	if f.offers.Len() == 1 {
		f.idleNode.Remove()
		n.waiting.Push(f)
	} else {
		n.waiting.Fix(f)
	}
	if began {
		n.begin(o.IdleGroups)
	}
}

// lift raises the counter of a flow that is back from idleness, in the eyes of the whole
// fleet: what it did not use while it was away is gone.
func (f *flow) lift(known bool) {
	switch n := f.in; {
	case !n.book.countsService || !n.book.liftsIdle:
	case known:
		f.counter = max(f.counter, n.v)
	default:
		f.counter = max(f.counter, n.beginning())
	}
}

// leave takes an offer away from the book.
func (n *node) leave(o *offer, now time.Time) {
	f := o.flow
	f.offers.Remove(o)
	if f.offers.Len() > 0 {
		n.waiting.Fix(f)
		return
	}
	f.rest(now)
}

// serve takes the first offer and charges its flow, and the groups that it is in; see
// serveGroups.
func (n *node) serve(o *offer, kept float64, now time.Time) {
	f := o.flow
	n.v = max(n.v, f.rank())
	if n.book.countsService {
		n.level = max(n.level, f.counter)
		f.counter += o.Charge * n.book.scale
		n.follow(o.Charge*n.book.scale, f.counter, f.weight)
	}
	n.serveGroups(o.service(), kept)
	n.leave(o, now)
}

// settle corrects what a flow was charged; a counter that was collected starts from what
// the settled grant left. If it follows, the level moves with it.
func (n *node) settle(st *store.Settlement, follows bool, now time.Time) {
	if n.book.countsService {
		f := n.flow(st.Flow, st.Counter, now)
		f.correct(st.Delta*n.book.scale, st.Weight, follows && st.Weight > 0)
		f.settled(now)
	}
	n.settleGroups(st.Service, follows && st.Weight > 0)
}

// correct moves a counter, and the level with it if that follows.
func (f *flow) correct(delta, weight float64, follows bool) {
	f.counter += delta
	switch {
	case !follows:
	case delta > 0:
		f.in.follow(delta, f.counter, weight)
	default:
		f.in.refund(delta, f.counter, weight)
	}
}

// spent charges a flow for what was let go by float, as if it had been granted; but V
// passes no flow that waits, since that was not asked.
func (n *node) spent(st *store.Settlement, now time.Time) {
	if n.book.countsService {
		_, known := n.flows[st.Flow]
		f := n.flow(st.Flow, st.Counter, now)
		if f.offers.Len() == 0 {
			f.lift(known)
		}
		f.charge(st.Delta*n.book.scale, st.Last*n.book.scale, st.Weight)
		f.settled(now)
	}
	n.spendGroups(st.Service, st.Last*st.Weight, now)
}

// charge adds to a counter what was let go by float, of which the last was so much.
func (f *flow) charge(charge, last, weight float64) {
	n := f.in
	reached := f.counter + charge - last
	if n.waiting.Len() > 0 {
		reached = min(reached, n.waiting.Min().rank())
	}
	f.counter += charge
	n.v, n.level = max(n.v, reached), max(n.level, reached)
	n.follow(charge, f.counter, weight)
}

// settled puts the flow in its place after a settlement.
func (f *flow) settled(now time.Time) {
	f.moved()
	if f.waits() {
		return
	}
	f.since = now
	f.idleNode.Remove()
	f.in.idle.PushBack(&f.idleNode)
}

// waits reports whether an offer of the flow stands, or one in the group that may go.
func (f *flow) waits() bool { return f.index > 0 }

// rest notes that nothing of the flow stands any more, or that nothing in the group may go.
func (f *flow) rest(now time.Time) {
	if !f.waits() {
		return // a group that was shut
	}
	n := f.in
	n.waiting.Remove(f)
	f.unweigh()
	f.since = now
	n.idle.PushBack(&f.idleNode)
	if n.as != nil && n.waiting.Len() == 0 {
		n.as.rest(now)
	}
}

// moved puts the flow in its place after its counter changed.
func (f *flow) moved() {
	if f.waits() {
		f.in.waiting.Fix(f)
	}
}

// waitsIn returns the group of that path, or the top for an empty one, if an offer in it may
// go: else nil.
func (b *book) waitsIn(group string) *node {
	n := b.known(group)
	if n == nil || n.waiting.Len() == 0 {
		return nil
	}
	for at := n; at.as != nil; at = at.as.in {
		if !at.as.waits() {
			return nil // it is shut, or what it is in
		}
	}
	return n
}

// eachWaiting calls do with each flow that has offers, in this node and the groups in it.
func (n *node) eachWaiting(do func(*flow)) {
	for _, f := range n.waiting.Items() {
		if f.group != nil {
			f.group.eachWaiting(do)
		} else {
			do(f)
		}
	}
}

func (n *node) standing() (offers int64) {
	n.eachWaiting(func(f *flow) { offers += int64(f.offers.Len()) })
	return offers
}

// countByIngress counts the offers that may go by their ingresses.
func (n *node) countByIngress(sum map[string]int64) {
	n.eachWaiting(func(f *flow) {
		for _, o := range f.offers.Items() {
			sum[o.Ticket.Ingress]++
		}
	})
}
