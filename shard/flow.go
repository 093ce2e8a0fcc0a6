package shard

import (
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
)

// flow is one flow's queue.
//
// Its rank is derived, never accumulated: the counter last learnt from the ledger, plus
// the charges of its own standing offers. A ticket that is withdrawn or served elsewhere
// leaves no trace in it.
type flow struct {
	key    policies.FlowKey
	shard  int
	band   *band
	group  *group // where it is compared
	weight float64

	waiting heap.Heap[*item] // not offered, by the ordering policy
	offered []*item          // before the ledger, in the order of the offers
	newest  *item            // of all its tickets, by arrival at this queue
	turns   turns            // of those that share it
	len     int              // of all its tickets
	waits   amount           // of those whose requests have come

	limit   Limit
	limited bool // it needs room: it has a limit of its own, or the ledger said so
	room    int  // how many of its tickets may be offered, if so

	counter float64 // as last learnt from the ledger
	known   bool    // something was: the ledger has a counter
	lift    float64 // what the ledger is expected to add for the idle time
	own     float64 // what this replica served in an outage
	pending float64 // the charges of offered
	unsure  bool    // in band.unsure
	idle    bool    // its next offer is the first since it was idle
	moved   bool    // the group is another since the configuration changed, or its policy
	rank    float64 // of its next offer; the key in group.backlog

	backlogIndex int
	share        float64 // of the band's buffer, for its weight
	holderIndex  int
	since        time.Time        // when it became empty
	idleNode     list.Node[*flow] // in Set.idle
}

// The flow implements policies.FlowQueueAccessor.

func (f *flow) FlowKey() policies.FlowKey { return f.key }

func (f *flow) Len() int {
	if f.blocked() {
		return 0 // nothing to choose from
	}
	return f.waiting.Len()
}
func (f *flow) Weight() float64  { return f.weight }
func (f *flow) Counter() float64 { return f.counter + f.own + f.lift + f.pending }

func (f *flow) Head() policies.QueueItemAccessor {
	if f.waiting.Len() == 0 {
		return nil
	}
	return shown{&f.waiting.Min().Ticket}
}

func (f *flow) HeadScore() float64 {
	if f.waiting.Len() == 0 {
		return 0
	}
	return f.waiting.Min().score
}

// link adds the item as the newest of the flow.
func (f *flow) link(it *item) {
	it.prev = f.newest
	if f.newest != nil {
		f.newest.next = it
	}
	f.newest = it
	f.len++
	f.waits = f.waits.plus(it.amount())
}

func (f *flow) unlink(it *item) {
	if it.prev != nil {
		it.prev.next = it.next
	}
	if it.next != nil {
		it.next.prev = it.prev
	} else {
		f.newest = it.prev
	}
	it.prev, it.next = nil, nil
	f.len--
	f.waits = f.waits.minus(it.amount())
}

// unoffered takes the item out of the flow's offers; the ones behind it move up.
func (f *flow) unoffered(it *item) {
	for i, o := range f.offered {
		if o == it {
			f.offered = append(f.offered[:i], f.offered[i+1:]...)
			break
		}
	}
	f.derive()
}

// derive works out the ranks of the flow's offers and of its next one from the
// counter.
func (f *flow) derive() {
	bd := f.band
	f.pending = 0
	for i, it := range f.offered {
		key := it.key
		switch bd.kind {
		case policies.Counting:
			key = f.Counter()
		case policies.Ranking:
			f.group.view = standingView{f, i}
			key = finite(bd.ranker.Rank(f.group, &f.group.view))
			if i > 0 {
				key = max(key, f.offered[i-1].key) // in the order of the flow
			}
		case policies.Picking:
		}
		if key != it.key {
			it.key = key
			f.group.offered.Fix(it)
			if !bd.counts() { // else the ledger's own counter says so
				bd.set.change(it)
			}
		}
		f.pending += it.charge
	}
	bd.rerank(f)
}

// standingView shows a ranker the flow as if its offer at a given place were its next
// ticket. It implements policies.FlowQueueAccessor.
type standingView struct {
	*flow
	at int
}

func (v *standingView) Len() int                         { return len(v.offered) - v.at + v.waiting.Len() }
func (v *standingView) Head() policies.QueueItemAccessor { return shown{&v.offered[v.at].Ticket} }
func (v *standingView) HeadScore() float64               { return v.offered[v.at].score }

// learn takes over the counter as the ledger knows it.
func (f *flow) learn(counter float64) {
	if f.band.counts() {
		f.counter, f.known, f.lift, f.idle = counter, true, 0, false
	}
}
