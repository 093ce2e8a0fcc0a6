package memory

import (
	"cmp"
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// Bands that want little pass: their requests go in the slots that end at their ingresses, before
// all others, and the line of a band below them stands beside that. A band wants little where all
// that it has in flight, and that waits, would be in flight at once with that of those above it: each
// of its requests is next then, whatever the order. See [store.Reply].

// passing returns which bands pass, those above that one, and whether any do. What is guaranteed
// something, or shares by weights, is not in the order of the bands, so beside it none passes.
// Nor does any while more is in flight than the limits allow. What a band wants is stated at each
// ingress at one time, so that no request counts twice that goes, or ends, from one turn to the next.
func (l *Ledger) passing() (above int, some bool) {
	if l.recovering || len(l.floors) > 0 || l.occupied() > l.most {
		return 0, false
	}
	room := l.most
	for _, r := range l.lost {
		room -= r.held
	}
	for _, bd := range l.bands { // highest priority first
		if bd.share.Slots > 0 || bd.weighed.Weight > 0 {
			return 0, false
		}
		room -= bd.wanted
		if !some && (bd.limit != l.most || room < 0) {
			above, some = bd.priority, true
		}
	}
	return above, some
}

// namePassing fills in which bands pass, and what the replica should know of them.
func (l *Ledger) namePassing(reply *store.Reply, r *replica, now time.Time) {
	if reply.PassAbove, reply.MayPass = l.passing(); !reply.MayPass {
		return
	}
	for _, bd := range l.bands {
		if bd.priority > reply.PassAbove {
			reply.PassLately = reply.PassLately || now.Sub(bd.offered) < quietFor
			reply.PassWait = reply.PassWait || bd.waits("")
		}
	}
	for _, y := range l.yields(reply.PassAbove, reply.MayPass) {
		if y.from == r {
			reply.Yields = append(reply.Yields, y.Yield)
		}
	}
}

// yield is what a replica gives up for requests that pass elsewhere.
type yield struct {
	from *replica
	store.Yield
}

// yields returns what those replicas give up where a line stands, for the requests that pass and
// wait. For those of an ingress that reaches all endpoints that is the replica that has the most
// slots, and for others those that have the most at endpoints that it reaches. An ingress that has as
// many slots as such requests needs no more, since each that ends there lets one go; and no more is
// given up than may go: what waits since its flow is at a limit is not before the ledger.
func (l *Ledger) yields(above int, some bool) (yields []yield) {
	if !slices.ContainsFunc(l.bands, func(bd *band) bool { return some && bd.priority > above && bd.waits("") }) {
		return nil
	}
	standing := make(map[string]int64) // by ingress
	for _, bd := range l.bands {
		if some && bd.priority > above {
			for _, b := range bd.books {
				b.countByIngress(standing)
			}
		}
	}
	anywhere := int64(0)
	var had []yieldAt
	for _, ingress := range l.replicas {
		n := max(0, min(standing[ingress.id], l.passingAt(ingress, above)-ingress.held))
		switch {
		case n == 0:
		case l.loads.reachesAll(ingress):
			anywhere += n
		default:
			if had == nil {
				had = l.hadInLine()
			}
			for i := range had {
				reached, ok := ingress.loads[had[i].Endpoint]
				if y := &had[i]; ok && reached.capacity != store.Closed && y.from != ingress {
					more := min(y.had-y.Slots, n)
					n, y.Slots = n-more, y.Slots+more
				}
			}
		}
	}
	for i := range had {
		if had[i].Slots > 0 {
			yields = append(yields, had[i].yield)
		}
	}
	if most := l.mostSlots(); anywhere > 0 && most != nil {
		yields = append(yields, yield{most, store.Yield{Slots: anywhere}})
	}
	return yields
}

// yieldAt is what is given up of what a replica has at an endpoint.
type yieldAt struct {
	yield
	had int64
}

// hadInLine returns what those where a line stands have at endpoints: where one has the most first.
func (l *Ledger) hadInLine() (list []yieldAt) {
	for _, r := range l.replicas {
		for name, had := range r.loads {
			if r.line > 0 && had.inFlight > 0 {
				list = append(list, yieldAt{yield{r, store.Yield{Endpoint: name}}, had.inFlight})
			}
		}
	}
	slices.SortFunc(list, func(a, b yieldAt) int {
		return cmp.Or(cmp.Compare(b.had, a.had), cmp.Compare(a.from.id, b.from.id), cmp.Compare(a.Endpoint, b.Endpoint))
	})
	return list
}

// passingAt is how many requests that pass wait at an ingress, as it stated, without those that were
// granted since.
func (l *Ledger) passingAt(ingress *replica, above int) (sum int64) {
	for i := range ingress.bands {
		if st := &ingress.bands[i]; st.Priority > above {
			sum += max(0, st.Wanted-ingress.holds.in(st.Priority))
		}
	}
	return sum
}

// mostSlots returns the replica that has the most slots of those where a line stands; nil for none.
func (l *Ledger) mostSlots() (most *replica) {
	for _, r := range l.replicas {
		if r.line > 0 && (most == nil || r.held > most.held) {
			most = r
		}
	}
	return most
}
