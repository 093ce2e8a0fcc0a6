package simulation

import (
	"slices"

	"github.com/weirflow/weir/controller/core"
)

// goneAlone counts a request that went by the share that its replica has without the ledger.
func (k *counts) goneAlone(x flight, by int64) {
	k.alone += by
	if i := slices.Index(endpoints, x.endpoint); i >= 0 {
		k.aloneAt[i] += by
	}
	for _, g := range x.tenant.crowd.groups {
		g.alone += by
	}
}

// checkShares: what replicas let go without the ledger is within the limit, and within what each
// endpoint takes. A replica lets one go only while it has less there than its share, and all shares
// together are no more than that: so what these replicas have, with what they had before, is no more either.
func (f *fleet) checkShares() {
	if f.counts.alone == 0 {
		return
	}
	pool, at := f.counts.alone, f.counts.aloneAt
	for _, n := range f.nodes {
		if n.alive && n.core.LedgerState() == core.Outage {
			all, alone, allAt, aloneAt := f.of(n)
			if alone > 0 {
				pool += all - alone
			}
			for i := range at {
				if aloneAt[i] > 0 {
					at[i] += allAt[i] - aloneAt[i]
				}
			}
		}
	}
	if pool > f.cfg.Limit {
		f.fail("share", "%d requests of replicas that let some go without the ledger, the limit is %d", pool, f.cfg.Limit)
	}
	for i, of := range at {
		if takes := f.cfg.takes(i); f.cfg.Bounded && of > takes {
			f.fail("share", "%d requests at endpoint %q of replicas that let some go there without the ledger, which takes %d", of, endpoints[i], takes)
		}
	}
}

// of counts the requests of a replica, and those of them that went without the ledger: in all, and at each of the
// endpoints.
func (f *fleet) of(n *node) (all, alone int64, at, aloneAt [3]int64) {
	for id, x := range f.flights {
		if id.Ingress != n.id {
			continue
		}
		i := slices.Index(endpoints, x.endpoint)
		all++
		at[i]++
		if x.alone {
			alone++
			aloneAt[i]++
		}
	}
	return all, alone, at, aloneAt
}

// checkReach: what a replica lets go by itself goes to an endpoint that it has. What the ledger granted may
// meet one on the way that has just left.
func (n *node) checkReach(d *core.Decision) {
	has := func(e core.Endpoint) bool { return e.Address == d.Endpoint }
	if n.fleet.cfg.Bounded && !slices.ContainsFunc(n.listed, has) {
		n.fleet.fail("reach", "%s lets %v go to endpoint %q, which it does not have", n.id, d.Ticket, d.Endpoint)
	}
}
