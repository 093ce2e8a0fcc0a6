package memory

import (
	"time"

	"github.com/weirflow/weir/store"
)

// Float is given while a part of the pool is free, at most half of that. Nothing is given
// of the last eighth: whoever comes next would wait for it to be returned.
const (
	floatPart = 2
	freePart  = 8
)

// recallEvery is how often something is recalled while it is not returned: a wake-up may be
// lost.
const recallEvery = 25 * time.Millisecond

// lend gives the replica permits to spend by itself, or has those who may have some return
// them: as long as an offer stands, they are for it.
func (l *Ledger) lend(r *replica, s *store.Statement, reply *store.Reply, now time.Time) {
	r.lent = false
	limit, wanted := l.openLimit()
	if wanted {
		recall(l.replicas, &l.recalled, now, func(r *replica) bool { return r.lent })
		return
	}
	free := limit - (l.occupied() - l.float)
	if l.recovering || free <= 0 || free*freePart < limit {
		return
	}
	askers := int64(0)
	for _, other := range l.replicas {
		if other.wantFloat > 0 {
			askers++
		}
	}
	share := free / floatPart / max(1, askers)
	if share < 1 {
		return
	}
	give := max(0, min(min(r.wantFloat, share)-r.float, free/floatPart-l.float))
	r.float += give
	r.held += give
	l.float += give
	l.held += give
	r.lent, l.recalled = true, time.Time{}
	reply.Float, reply.FloatLimit, reply.FloatShare = r.float, limit, share
	l.permit(r, s)
}

// openLimit is the least limit of the bands that have room, 0 if none has; and whether
// what is given as float is wanted back: an offer waits for it, or a limit fell below it.
func (l *Ledger) openLimit() (least int64, wanted bool) {
	highest, occupied := int64(store.NoOpinion), l.occupied()
	for _, bd := range l.bands {
		highest = max(highest, bd.limit)
		if bd.limit > occupied && (least == 0 || bd.limit < least) {
			least = bd.limit
		}
	}
	return least, l.wanted || occupied > highest
}

// recall wakes those who have something to return, or may have; last is when it last did.
func recall(replicas []*replica, last *time.Time, now time.Time, has func(*replica) bool) {
	if now.Sub(*last) < recallEvery {
		return
	}
	for _, r := range replicas {
		if has(r) {
			r.recall, *last = true, now
		}
	}
}
