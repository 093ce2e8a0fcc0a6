package simulation

import (
	"maps"
	"slices"

	"github.com/weirflow/weir/controller/core"
)

// endpoints are the model servers.
var endpoints = []string{"x", "y", "z"}

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
			return favourite
		}
		return to
	}
	if to == "" {
		to = n.least()
	}
	if n.fleet.rng.IntN(20) == 0 {
		to = endpoints[n.fleet.rng.IntN(len(endpoints))]
	}
	n.core.Place(seq, to)
	return to
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
	for _, e := range endpoints {
		if least == "" || loads[e] < loads[least] {
			least = e
		}
	}
	return least
}
