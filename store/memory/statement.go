package memory

import (
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// count adds a replica's stated figures of a band to the totals, or takes
// them off.
func (l *Ledger) count(s *store.Band, sign int64) {
	l.queued += sign * s.Queued
	l.bytes += sign * s.QueuedBytes
	if bd := find(l.bands, s.Priority); bd != nil {
		bd.queued += sign * s.Queued
		bd.bytes += sign * s.QueuedBytes
		bd.wanted += sign * s.Wanted
	}
}

// replace replaces what was known of the replica by what it states of itself. Whatever
// had drifted is right again after it.
func (l *Ledger) replace(r *replica, s *store.Statement, now time.Time) {
	relimit := len(r.bands) != len(s.Bands) || r.capacity != s.Capacity
	for i := range r.bands {
		l.count(&r.bands[i], -1)
		relimit = relimit || i < len(s.Bands) &&
			(r.bands[i].Priority != s.Bands[i].Priority || r.bands[i].Limit != s.Bands[i].Limit ||
				r.bands[i].Guaranteed != s.Bands[i].Guaranteed || r.bands[i].Weight != s.Bands[i].Weight || r.bands[i].Policy != s.Bands[i].Policy)
	}
	l.held -= r.held
	l.float -= r.float
	r.held, r.float, r.wantFloat = s.Float, s.Float, s.WantFloat
	l.relined(r, s)
	byFloat := r.byFloat(s)
	l.release(r)
	r.bands, r.capacity = append(r.bands[:0], s.Bands...), s.Capacity
	r.sheddable, r.revoking = append(r.sheddable[:0], s.Sheddable...), s.Revoking
	for i := range r.bands {
		st := &r.bands[i]
		bd := find(l.bands, st.Priority)
		if bd == nil {
			bd = &band{priority: st.Priority}
			for _, other := range l.replicas {
				bd.inFlight += other.holds.in(st.Priority)
			}
			l.bands = append(l.bands, bd)
			slices.SortFunc(l.bands, func(a, b *band) int { return b.priority - a.priority })
			relimit = true
		}
		books := len(bd.books)
		b := bd.book(st)
		if len(bd.books) != books {
			relimit = true
			b.rescale(now)
		}
		if s.Register {
			b.v = max(b.v, st.VirtualTime*b.scale)
			b.level = max(b.level, st.Level*b.scale, b.v)
			bd.restore(st)
		}
		l.count(st, +1)
		r.held += st.InFlight
		l.hold(r, st.Priority, st.InFlight)
	}
	for i := range r.unread {
		if m := &r.unread[i]; m.Kind&store.Granted != 0 {
			r.held++
			l.hold(r, m.Priority, 1)
		}
	}
	l.held += r.held
	l.float += r.float
	r.average(s.Register)
	if relimit || l.fewer {
		l.relimit()
	}
	for _, priority := range byFloat {
		if bd := find(l.bands, priority); bd.share.Slots > 0 {
			bd.share.Granted(bd.inFlight-1, false)
		}
	}
}

// relimit works out each band's limit, guarantee and weight, the least that a live replica
// states, and which bands and books are stated at all. A band that nobody knows a limit for
// has the highest of the others': its offers, of ingresses that list no endpoint, would stop
// all below it. One that nobody states has no weight either.
func (l *Ledger) relimit() {
	l.fewer = false
	l.most = store.NoOpinion
	weights := make(map[*band]float64, len(l.bands))
	for _, bd := range l.bands {
		bd.limit, bd.share.Slots, bd.stated, weights[bd] = store.NoOpinion, 0, false, store.NoOpinion
		for _, b := range bd.books {
			b.stated = false
		}
	}
	for _, r := range l.replicas {
		for i := range r.bands {
			st := &r.bands[i]
			bd := find(l.bands, st.Priority)
			if !bd.stated {
				weights[bd] = st.Weight
			}
			bd.stated, weights[bd] = true, min(weights[bd], st.Weight)
			bd.book(st).stated = true
			if st.Limit == store.NoOpinion {
				continue
			}
			limit, guaranteed := l.loads.limitOf(st.Limit, r.capacity), l.loads.ofFleet(st.Guaranteed, r.capacity)
			if bd.limit == store.NoOpinion {
				bd.limit, bd.share.Slots = limit, guaranteed
			}
			bd.limit, bd.share.Slots = min(bd.limit, limit), min(bd.share.Slots, guaranteed)
		}
	}
	for _, bd := range l.bands {
		l.most = max(l.most, bd.limit)
		bd.weighed.Reweigh(weights[bd])
		bd.short = bd.short && bd.weighed.Weight > 0
	}
	for _, bd := range l.bands {
		if bd.limit == store.NoOpinion {
			bd.limit = l.most
		}
	}
}

// relimitFewer does so if replicas went. A turn does it once, when all is stated that it says: what
// bands are ahead of each other by is the same before and after a replica registers anew.
func (l *Ledger) relimitFewer() {
	if l.fewer {
		l.relimit()
	}
}

// bookOf returns the book of the replica's own policy in a band.
func (l *Ledger) bookOf(r *replica, priority int) *book {
	for i := range r.bands {
		if r.bands[i].Priority == priority {
			return find(l.bands, priority).book(&r.bands[i])
		}
	}
	return nil
}

// settle applies a batch of settlements, once.
func (l *Ledger) settle(r *replica, s *store.Statement, now time.Time) {
	if s.Batch <= r.batch {
		return
	}
	r.batch = s.Batch
	for i := range s.Settlements {
		st := &s.Settlements[i]
		if n := nodeNamed(l.bands, st.Priority, st.Policy, st.Group); n != nil {
			if st.Last > 0 {
				n.spent(st, now)
			} else {
				n.settle(st, true, now)
			}
		}
		if m := l.limits[limited{flow: st.Flow}]; m != nil {
			m.spend(st.Tokens, now)
		}
	}
}

// recount raises counters to what a registering replica knows of them.
func (l *Ledger) recount(r *replica, s *store.Statement, now time.Time) {
	if !s.Register {
		return
	}
	for i := range s.Counters {
		c := &s.Counters[i]
		if b := l.bookOf(r, c.Priority); b != nil && b.countsService {
			f := b.group(c.Group, now).flow(c.Flow, c.Value, now)
			if value := c.Value * b.scale; f.counter < value {
				f.counter = value
				f.moved()
			}
		}
	}
}
