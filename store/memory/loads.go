package memory

import (
	"cmp"
	"slices"
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/store"
)

// endpoint is a model server's load, counted over all replicas; unread grants count
// where they were suggested to go.
type endpoint struct {
	name string
	share
	capacity  int64            // how many requests it takes; 0 for no limit
	stated    map[string]int64 // capacities, by the replicas with a lease that state one
	suggested int64            // when a grant was last suggested to go there: of equals, the earliest is next
	replicas  int              // with a lease that state it
	closed    int              // those of them that send no more requests there
	index     int              // in loads.least
}

// share is what one replica has at an endpoint, or all. Permits are requests that may be
// there beyond those in flight.
type share struct{ inFlight, tokens, permits int64 }

// plus is the sum of two, or their difference.
func (s share) plus(other share, sign int64) share {
	return share{s.inFlight + sign*other.inFlight, s.tokens + sign*other.tokens, s.permits + sign*other.permits}
}

// place is what a replica states of an endpoint, unread grants included.
type place struct {
	share
	capacity int64
}

// loads are the endpoints' loads, as far as a replica with a lease states them.
type loads struct {
	byName   map[string]*endpoint
	least    *heap.Heap[*endpoint]
	lost     map[string]share // what lost replicas have at each; part of the endpoint's
	capacity int64            // the sum of the endpoints'
	closed   int              // the sum of the endpoints', likewise
}

func newLoads() loads {
	return loads{byName: make(map[string]*endpoint), lost: make(map[string]share), least: heap.New((*endpoint).before, func(e *endpoint) *int { return &e.index })}
}

func (e *endpoint) before(other *endpoint) bool {
	return cmp.Or(cmp.Compare(e.inFlight, other.inFlight), cmp.Compare(e.suggested, other.suggested), cmp.Compare(e.name, other.name)) < 0
}

// count sets what a replica has at an endpoint.
func (ls *loads) count(r *replica, name string, now place) {
	before, known := r.loads[name]
	e := ls.byName[name]
	if e == nil {
		e = &endpoint{name: name, share: ls.lost[name]}
		ls.byName[name] = e
		ls.least.Push(e)
	}
	if !known {
		e.replicas++
		if r.loads == nil {
			r.loads = make(map[string]place)
		}
	}
	r.loads[name] = now
	e.share = e.plus(now.share, 1).plus(before.share, -1)
	if now.capacity != before.capacity {
		ls.bound(e, r.id, now.capacity)
		ls.close(e, before, -1)
		ls.close(e, now, 1)
	}
	ls.least.Fix(e)
}

// close counts that a replica sends no more requests to an endpoint, or no longer.
func (ls *loads) close(e *endpoint, p place, n int) {
	if p.capacity == store.Closed {
		e.closed += n
		ls.closed += n
	}
}

// outOfUse is how many requests are in flight at endpoints that no replica with a lease
// sends requests to any more.
func (ls *loads) outOfUse() (sum int64) {
	if ls.capacity == 0 {
		return 0 // limits are of something else
	}
	if ls.closed > 0 {
		for _, e := range ls.byName {
			if e.closed == e.replicas {
				sum += e.inFlight
			}
		}
	}
	for name, had := range ls.lost {
		if ls.byName[name] == nil {
			sum += had.inFlight
		}
	}
	return sum
}

// bound takes in what a replica states that an endpoint takes.
func (ls *loads) bound(e *endpoint, id string, capacity int64) {
	if delete(e.stated, id); capacity > 0 {
		if e.stated == nil {
			e.stated = make(map[string]int64)
		}
		e.stated[id] = capacity
	}
	ls.capacity -= e.capacity
	e.capacity = 0
	for _, stated := range e.stated {
		if e.capacity == 0 || stated < e.capacity {
			e.capacity = stated
		}
	}
	ls.capacity += e.capacity
}

// forget takes an endpoint off a replica's list; one that no replica lists is gone.
func (ls *loads) forget(r *replica, name string) {
	had, known := r.loads[name]
	if !known {
		return
	}
	delete(r.loads, name)
	e := ls.byName[name]
	e.share = e.plus(had.share, -1)
	ls.close(e, had, -1)
	ls.unlist(e, r)
}

// unlist takes in that a replica lists the endpoint no more.
func (ls *loads) unlist(e *endpoint, r *replica) {
	ls.bound(e, r.id, 0)
	if e.replicas--; e.replicas == 0 {
		ls.least.Remove(e)
		delete(ls.byName, e.name)
		return
	}
	ls.least.Fix(e)
}

// replace replaces what was known of a replica's endpoints by what it states, and returns
// the capacity of all endpoints.
func (ls *loads) replace(r *replica, s *store.Statement) (capacity int64) {
	if s.Register || s.Full {
		stated := make(map[string]bool, len(s.Loads))
		for i := range s.Loads {
			stated[s.Loads[i].Endpoint] = true
		}
		for name := range r.loads {
			if !stated[name] {
				ls.state(r, &store.Load{Endpoint: name, InFlight: store.Gone})
			}
		}
	}
	for i := range s.Loads {
		ls.state(r, &s.Loads[i])
	}
	return ls.capacity
}

// state takes in what a replica states of an endpoint. One that it has no more stays on its
// list while a grant to go there is unread.
func (ls *loads) state(r *replica, st *store.Load) {
	unread := int64(0)
	for i := range r.unread {
		if m := &r.unread[i]; m.Kind&store.Granted != 0 && m.Endpoint == st.Endpoint {
			unread++
		}
	}
	switch {
	case st.InFlight >= 0:
		ls.count(r, st.Endpoint, place{share{st.InFlight + unread, st.Tokens, st.Permits}, st.Capacity})
	case unread > 0:
		ls.count(r, st.Endpoint, place{share{inFlight: unread}, store.Closed})
	default:
		ls.forget(r, st.Endpoint)
	}
}

// suggest sends a grant's ingress to an endpoint, and counts the grant there.
func (ls *loads) suggest(r *replica, e *endpoint, m *store.Message, now time.Time) {
	m.Endpoint, m.EndpointInFlight = e.name, e.inFlight
	e.suggested = now.UnixMicro() % wrap
	had := r.loads[e.name]
	had.inFlight++
	ls.count(r, e.name, had)
}

// wrap bounds what is kept of the time of a suggestion, in microseconds, so that a
// store can count in fractions of a request.
const wrap = 1 << 30

// end takes in that a replica's lease ended: it lists no endpoint, but what it had there
// still counts, with the permits that it may have spent.
func (ls *loads) end(r *replica) {
	for name, had := range r.loads {
		e := ls.byName[name]
		had.inFlight, had.permits = had.inFlight+had.permits, 0
		ls.count(r, name, place{share: had.share})
		ls.lost[name] = ls.lost[name].plus(had.share, 1)
		ls.unlist(e, r)
	}
}

// free stops counting what a replica without a lease had at endpoints.
func (ls *loads) free(r *replica) {
	for name, had := range r.loads {
		if ls.lost[name] = ls.lost[name].plus(had.share, -1); ls.lost[name] == (share{}) {
			delete(ls.lost, name)
		}
		if e := ls.byName[name]; e != nil {
			e.share = e.plus(had.share, -1)
			ls.least.Fix(e)
		}
	}
	r.loads = nil
}

// totals lists all loads, the least first.
func (ls *loads) totals(into []store.Load) []store.Load {
	for _, e := range ls.byName {
		into = append(into, store.Load{Endpoint: e.name, InFlight: e.inFlight, Tokens: e.tokens, Capacity: e.capacity, Permits: e.permits})
	}
	slices.SortFunc(into, func(a, b store.Load) int {
		return cmp.Or(cmp.Compare(a.InFlight, b.InFlight), cmp.Compare(a.Endpoint, b.Endpoint))
	})
	return into
}
