package core

import (
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/store"
)

// revocations is which of the requests in flight here may be revoked for a higher band
// that waits at a full pool, and which the ledger has revoked.
type revocations struct {
	bystander
	cfg      *Config
	agenda   *agenda
	clock    *clock
	bands    *bands
	requests *requests

	sheddable *heap.Heap[*request] // in flight, may be revoked and is not, the first on top
	ending    map[uint64]bool      // by their numbers: revoked and still in flight
	revoked   []uint64             // to be handed out
	total     uint64
}

func newRevocations(cfg *Config, a *agenda, c *clock, bs *bands, q *requests) revocations {
	return revocations{
		cfg: cfg, agenda: a, clock: c, bands: bs, requests: q, ending: make(map[uint64]bool),
		sheddable: heap.New(func(a, b *request) bool {
			if a.Flow.Priority != b.Flow.Priority {
				return a.Flow.Priority < b.Flow.Priority
			}
			if a.revokeScore != b.revokeScore {
				return a.revokeScore < b.revokeScore
			}
			return a.ID.Seq < b.ID.Seq
		}, func(r *request) *int { return &r.revokeIndex }),
	}
}

// dispatched notes a request that was just dispatched, and reports whether it may be
// revoked.
func (v *revocations) dispatched(now time.Time, r *request) bool {
	r.revocable = v.admit(now, r)
	return r.revocable
}

// admit puts a request that was dispatched then among those that may be revoked, if it is one.
func (v *revocations) admit(dispatched time.Time, r *request) bool {
	e := v.cfg.Eviction
	if e == nil || !e.Filter.Evictable(r.Flow) {
		return false
	}
	r.revokeScore = e.Order.Score(r.Flow, v.clock.at(dispatched))
	v.sheddable.Push(r)
	return true
}

// reconfigure has what is in flight follow the policies, which may be others now. Whoever
// made a request that could not be revoked when it was dispatched does not listen for it.
func (v *revocations) reconfigure() {
	for v.sheddable.Len() > 0 {
		v.sheddable.Pop()
	}
	for r := range v.requests.all(false) {
		if r.revocable && !v.ending[r.ID.Seq] {
			v.admit(r.dispatched, r)
		}
	}
}

// ended forgets a request that is over.
func (v *revocations) ended(r *request) {
	v.sheddable.Remove(r)
	delete(v.ending, r.ID.Seq)
}

// take hands out the revoked requests, once each.
func (v *revocations) take() (revoked []uint64) {
	revoked, v.revoked = v.revoked, nil
	return revoked
}

// The revocations are a participant.

// state states, at a full pool, which requests would be revoked first.
func (v *revocations) state(_ time.Time, s *store.Statement) {
	s.Evicts, s.Revoking = v.cfg.Eviction != nil, int64(len(v.ending))
	if !s.Evicts || !v.bands.full() {
		return
	}
	var first []*request
	for len(first) < store.MaxSheddable && v.sheddable.Len() > 0 {
		r := v.sheddable.Pop()
		first = append(first, r)
		s.Sheddable = append(s.Sheddable, v.asSheddable(r))
	}
	for _, r := range first {
		v.sheddable.Push(r)
	}
}

// asSheddable is a request as it is stated. Where groups are guaranteed something, the ledger
// must know which it is in.
func (v *revocations) asSheddable(r *request) store.Sheddable {
	s := store.Sheddable{Seq: r.ID.Seq, Priority: r.Flow.Priority, Score: r.revokeScore}
	if len(v.cfg.Shard.Guaranteed) > 0 {
		s.Group = v.cfg.Shard.GroupOf(r.Flow)
	}
	return s
}

// learn notes which requests the ledger has revoked.
func (v *revocations) learn(_ time.Time, _ *store.Statement, reply *store.Reply) {
	for _, seq := range reply.Revoke {
		r := v.requests.flies(v.requests.own(seq))
		if r == nil || r.revokeIndex == 0 {
			continue // over, or revoked already
		}
		v.sheddable.Remove(r)
		v.ending[seq] = true
		v.total++
		v.revoked = append(v.revoked, r.seq)
		v.agenda.due = true // so that no other request is revoked for the same slot
	}
}
