package simulation

import (
	"cmp"
	"maps"
	"slices"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
)

// endpoints are the model servers.
var endpoints = []string{"x", "y", "z"}

// endpoints are those of the pool.
func (c *Config) endpoints() []string {
	if c.One {
		return endpoints[:1]
	}
	return endpoints
}

// takes is how many requests an endpoint takes, by its number, if they are bounded.
func (c *Config) takes(endpoint int) int64 {
	n := int64(len(endpoints))
	takes := c.Limit / n
	if int64(endpoint) < c.Limit%n {
		takes++
	}
	return takes
}

// reaches takes in which endpoints the replica reaches from now on.
func (n *node) reaches(some []string) {
	c := &n.fleet.cfg
	n.reach = some
	limit := c.Limit
	var list []core.Endpoint
	if c.Bounded {
		limit = 0
	}
	for _, e := range some {
		switch {
		case n.fleet.drained[e]:
			continue
		case !c.Bounded:
			list = append(list, core.Endpoint{Address: e})
			continue
		}
		takes := c.takes(slices.Index(endpoints, e))
		list = append(list, core.Endpoint{Address: e, Capacity: takes})
		limit += takes
	}
	n.listed = list
	n.core.SetPool(n.now(), core.Pool{Endpoints: len(list), Limit: limit})
	n.core.SetEndpoints(n.now(), list)
}

// favourite is the endpoint that many requests of the replica prefer.
func (n *node) favourite() string { return n.reach[0] }

// place sends a dispatched request to an endpoint: mostly to the one that it was granted for,
// or to the one with the least load as far as is known here.
func (n *node) place(seq uint64, d *core.Decision) string {
	to := d.Endpoint
	if n.fleet.cfg.Bounded {
		if favourite := n.favourite(); !d.Preferred && n.fleet.rng.IntN(2) == 0 && n.core.MayPlace(n.now(), seq, favourite) {
			to = favourite
		}
		n.core.Place(seq, to)
		return to
	}
	if to == "" {
		to = n.least()
	}
	if !n.fleet.cfg.One && n.fleet.rng.IntN(20) == 0 {
		to = endpoints[n.fleet.rng.IntN(len(endpoints))]
	}
	n.core.Place(seq, to)
	return to
}

// failOver has one of a replica's requests go to another endpoint, whether that has room or not.
func (f *fleet) failOver(n *node) {
	ids := slices.SortedFunc(maps.Keys(f.flights), func(a, b policies.TicketID) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, id := range ids {
		x := f.flights[id]
		if id.Ingress != n.id || n.paused {
			continue
		}
		to := slices.Index(n.reach, x.endpoint) + 1
		f.land(id)
		x.endpoint = n.reach[to%len(n.reach)]
		f.fly(id, x)
		f.forced[forced{n.index, x.endpoint}]++
		n.core.Place(id.Seq, x.endpoint)
		n.pump()
		return
	}
}

// forced is where requests of a replica had to go. As many that are there next, and end, are followed by
// nobody; until then there may be more than the endpoint takes.
type forced struct {
	node     int
	endpoint string
}

// forcedAt is how many more than it takes may therefore be at an endpoint.
func (f *fleet) forcedAt(endpoint string) (sum int64) {
	for at, n := range f.forced {
		if at.endpoint == endpoint {
			sum += n
		}
	}
	return sum
}

// least is the endpoint with the least load: this replica's own, and the others' as last
// learnt.
func (n *node) least() (least string) {
	loads := maps.Clone(n.others)
	for id, e := range n.fleet.flights {
		if id.Ingress == n.id {
			loads[e.endpoint]++
		}
	}
	for _, e := range n.fleet.cfg.endpoints() {
		if least == "" || loads[e] < loads[least] {
			least = e
		}
	}
	return least
}
