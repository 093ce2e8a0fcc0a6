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
	suggested int64 // when a grant was last suggested to go there: of equals, the earliest is next
	replicas  int   // with a lease that state it
	index     int   // in loads.least
}

// share is what one replica has at an endpoint, or all.
type share struct{ inFlight, tokens int64 }

// plus is the sum of two, or their difference.
func (s share) plus(other share, sign int64) share {
	return share{s.inFlight + sign*other.inFlight, s.tokens + sign*other.tokens}
}

// loads are the endpoints' loads, as far as a replica with a lease states them.
type loads struct {
	byName map[string]*endpoint
	least  *heap.Heap[*endpoint]
	lost   map[string]share // what lost replicas have at each; part of the endpoint's
}

func newLoads() loads {
	return loads{byName: make(map[string]*endpoint), lost: make(map[string]share), least: heap.New((*endpoint).before, func(e *endpoint) *int { return &e.index })}
}

func (e *endpoint) before(other *endpoint) bool {
	return cmp.Or(cmp.Compare(e.inFlight, other.inFlight), cmp.Compare(e.suggested, other.suggested), cmp.Compare(e.name, other.name)) < 0
}

// count sets a replica's load at an endpoint.
func (ls *loads) count(r *replica, name string, now share) {
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
			r.loads = make(map[string]share)
		}
	}
	r.loads[name] = now
	e.inFlight += now.inFlight - before.inFlight
	e.tokens += now.tokens - before.tokens
	ls.least.Fix(e)
}

// forget takes an endpoint off a replica's list; one that no replica lists is gone.
func (ls *loads) forget(r *replica, name string) {
	had, known := r.loads[name]
	if !known {
		return
	}
	delete(r.loads, name)
	e := ls.byName[name]
	e.inFlight -= had.inFlight
	e.tokens -= had.tokens
	ls.unlist(e)
}

// unlist takes in that a replica lists the endpoint no more.
func (ls *loads) unlist(e *endpoint) {
	if e.replicas--; e.replicas == 0 {
		ls.least.Remove(e)
		delete(ls.byName, e.name)
		return
	}
	ls.least.Fix(e)
}

// replace replaces what was known of a replica's endpoints by what it states.
func (ls *loads) replace(r *replica, s *store.Statement) {
	if s.Register || s.Full {
		stated := make(map[string]bool, len(s.Loads))
		for i := range s.Loads {
			stated[s.Loads[i].Endpoint] = true
		}
		for name := range r.loads {
			if !stated[name] {
				ls.forget(r, name)
			}
		}
	}
	for i := range s.Loads {
		st := &s.Loads[i]
		if st.InFlight < 0 {
			ls.forget(r, st.Endpoint)
			continue
		}
		now := share{st.InFlight, st.Tokens}
		for j := range r.unread {
			if m := &r.unread[j]; m.Kind&store.Granted != 0 && m.Endpoint == st.Endpoint {
				now.inFlight++
			}
		}
		ls.count(r, st.Endpoint, now)
	}
}

// suggest sends a grant's ingress to the endpoint with the least load, and counts the
// grant there.
func (ls *loads) suggest(r *replica, m *store.Message, now time.Time) {
	if ls.least.Len() == 0 {
		return
	}
	e := ls.least.Min()
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
// still counts.
func (ls *loads) end(r *replica) {
	for name, had := range r.loads {
		ls.lost[name] = ls.lost[name].plus(had, 1)
		ls.unlist(ls.byName[name])
	}
}

// free stops counting what a replica without a lease had at endpoints.
func (ls *loads) free(r *replica) {
	for name, had := range r.loads {
		if ls.lost[name] = ls.lost[name].plus(had, -1); ls.lost[name] == (share{}) {
			delete(ls.lost, name)
		}
		if e := ls.byName[name]; e != nil {
			e.share = e.plus(had, -1)
			ls.least.Fix(e)
		}
	}
	r.loads = nil
}

// totals lists all loads, the least first.
func (ls *loads) totals(into []store.Load) []store.Load {
	for _, e := range ls.byName {
		into = append(into, store.Load{Endpoint: e.name, InFlight: e.inFlight, Tokens: e.tokens})
	}
	slices.SortFunc(into, func(a, b store.Load) int {
		return cmp.Or(cmp.Compare(a.InFlight, b.InFlight), cmp.Compare(a.Endpoint, b.Endpoint))
	})
	return into
}
