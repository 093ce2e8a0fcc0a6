package core

import (
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// Eviction says which requests in flight may be revoked, and which of them first.
type Eviction struct {
	Filter policies.EvictionFilter
	Order  policies.EvictionOrder
}

// newSheddable orders the requests in flight that may be revoked, the first on top.
func newSheddable() *heap.Heap[*request] {
	return heap.New(func(a, b *request) bool {
		if a.Flow.Priority != b.Flow.Priority {
			return a.Flow.Priority < b.Flow.Priority
		}
		if a.shedScore != b.shedScore {
			return a.shedScore < b.shedScore
		}
		return a.ID.Seq < b.ID.Seq
	}, func(r *request) *int { return &r.shedIndex })
}

// mayRevoke notes a request that was just dispatched if it may be revoked.
func (c *Core) mayRevoke(now time.Time, r *request) {
	if e := c.cfg.Eviction; e != nil && e.Filter.Evictable(r.Flow) {
		r.shedScore = e.Order.Score(r.Flow, now.Add(c.clock))
		c.sheddable.Push(r)
	}
}

// stateSheddable says which requests go first, when it might come to that.
func (c *Core) stateSheddable(s *store.Statement) {
	s.Evicts, s.Revoking = c.cfg.Eviction != nil, c.revoking
	if !s.Evicts || !c.full() {
		return
	}
	var first []*request
	for len(first) < store.MaxSheddable && c.sheddable.Len() > 0 {
		r := c.sheddable.Pop()
		first = append(first, r)
		s.Sheddable = append(s.Sheddable, store.Sheddable{Seq: r.ID.Seq, Priority: r.Flow.Priority, Score: r.shedScore})
	}
	for _, r := range first {
		c.sheddable.Push(r)
	}
}

// revoke takes in that the ledger wants a request ended.
func (c *Core) revoke(seq uint64) {
	r := c.inFlight[policies.TicketID{Ingress: c.cfg.Replica, Seq: seq}]
	if r == nil || r.shedIndex == 0 {
		return // over, or revoked already
	}
	c.sheddable.Remove(r)
	r.revoked = true
	c.revoking++
	c.fleet.tallies.Revoked++
	c.revoked = append(c.revoked, seq)
	c.turn.due = true // so that nobody else's is revoked for it
}

// shed forgets a request that is over.
func (c *Core) shed(r *request) {
	c.sheddable.Remove(r)
	if r.revoked {
		c.revoking--
	}
}
