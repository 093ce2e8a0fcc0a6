package memory

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// room is how many more requests an endpoint takes.
func (e *endpoint) room() int64 {
	if e.capacity == 0 {
		return store.Unlimited
	}
	return e.capacity - e.inFlight - e.permits
}

// choose returns the endpoint that is preferred, where capacity is by endpoint, or else the
// one with the least load, of those that an ingress states and that have room; nil if it
// states none. If all that it states are full, the second value is set, and the third if they
// would not be but for permits. Where capacity is by endpoint, one that states none has no
// room at all.
func (ls *loads) choose(r *replica, prefer string) (chosen *endpoint, full, byPermits bool) {
	if len(r.loads) == 0 {
		return nil, ls.capacity > 0, false
	}
	takes := func(e *endpoint) bool {
		return ls.capacity == 0 || r.loads[e.name].capacity != store.Closed && e.room() > 0
	}
	if _, stated := r.loads[prefer]; stated && ls.capacity > 0 && takes(ls.byName[prefer]) {
		return ls.byName[prefer], false, false
	}
	var least *endpoint
	if e := ls.least.Min(); takes(e) {
		if _, stated := r.loads[e.name]; stated {
			return e, false, false
		}
	}
	for name := range r.loads {
		e := ls.byName[name]
		switch {
		case takes(e):
			if least == nil || e.before(least) {
				least = e
			}
		case r.loads[name].capacity != store.Closed && e.permits > 0:
			byPermits = true
		}
	}
	return least, least == nil, byPermits
}

// reachesAll reports whether a replica sends requests to all endpoints that have limits, or none has any.
func (ls *loads) reachesAll(r *replica) bool {
	if ls.capacity == 0 {
		return true
	}
	for name, e := range ls.byName {
		at, listed := r.loads[name]
		if e.capacity > 0 && (!listed || at.capacity == store.Closed) {
			return false
		}
	}
	return true
}

// ofFleet takes a number that is a part of so much capacity for the same part of all that
// the endpoints have.
func (ls *loads) ofFleet(part float64, of int64) float64 {
	if of == 0 || ls.capacity == 0 || ls.capacity == of {
		return part
	}
	return part * float64(ls.capacity) / float64(of)
}

// limitOf is a limit that a replica states, as it is for the fleet's capacity.
func (ls *loads) limitOf(limit, of int64) int64 {
	if limit == store.NoOpinion || limit >= store.Unlimited {
		return limit
	}
	return int64(math.Floor(ls.ofFleet(float64(limit), of)))
}

// passOver leaves an offer standing whose ingress reaches no endpoint with room, and has
// others go meanwhile.
func (l *Ledger) passOver(o *offer, now time.Time) {
	o.flow.in.leave(o, now)
	o.Idle, o.IdleGroups = false, 0 // it was lifted when it was first offered, if it needed to be
	l.over, o.flow.in.book.band.over = append(l.over, o), true
	if at, known := l.short[o.Ticket.Ingress]; !known || now.Sub(at) >= store.ShortFor {
		l.wanted = true // whoever does not hear of it by a reply may keep what ended to itself
	}
	l.short[o.Ticket.Ingress] = now
}

// standAgain has the offers stand that were passed over.
func (l *Ledger) standAgain(now time.Time) {
	for _, o := range l.over {
		o.flow.in.stand(o, now)
		o.flow.in.book.band.over = false
	}
	clear(l.over)
	l.over = l.over[:0]
}

// nameShort fills in which ingresses are short of room.
func (l *Ledger) nameShort(reply *store.Reply, now time.Time) {
	if reply.Capacity = l.loads.capacity; len(l.short) == 0 {
		return
	}
	maps.DeleteFunc(l.short, func(_ string, at time.Time) bool { return now.Sub(at) >= store.ShortFor })
	for id := range l.short {
		reply.Short = append(reply.Short, id)
	}
	slices.Sort(reply.Short)
}

// permit gives a replica permits at the endpoints that it states, of what is free there no
// more than half in all, in equal parts to all replicas.
func (l *Ledger) permit(r *replica, s *store.Statement) {
	for i := range s.Loads {
		st := &s.Loads[i]
		had, e := r.loads[st.Endpoint], l.loads.byName[st.Endpoint]
		if st.Wanted == 0 || had.capacity == store.Closed || e == nil || e.capacity <= e.inFlight {
			continue
		}
		half := (e.capacity - e.inFlight) / floatPart
		share := half / int64(len(l.replicas))
		if give := min(min(st.Wanted, share)-had.permits, half-e.permits); give > 0 {
			had.permits += give
			l.loads.count(r, st.Endpoint, had)
		}
	}
}

// namePermits fills in what the replica may have at the endpoints that it states.
func (l *Ledger) namePermits(reply *store.Reply, r *replica, s *store.Statement) {
	for i := range s.Loads {
		if st := &s.Loads[i]; st.Permits+st.Wanted > 0 {
			reply.Permits = append(reply.Permits, store.Permit{Endpoint: st.Endpoint, Permits: r.loads[st.Endpoint].permits})
		}
	}
}
