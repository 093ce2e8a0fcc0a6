package simulation

import (
	"maps"
	"slices"
	"time"
)

// reload draws other weights of flows, groups and priorities, and has each replica take them in at some
// time until then.
func (f *fleet) reload(within time.Duration) {
	weight := func() float64 { return float64(1 + f.rng.IntN(3)) }
	for i := range f.cfg.Flows {
		f.cfg.Flows[i].Weight = weight()
	}
	groups, bands := maps.Clone(f.cfg.Groups), maps.Clone(f.cfg.Weights)
	for _, path := range slices.Sorted(maps.Keys(groups)) {
		groups[path] = weight()
	}
	for _, w := range f.counts.weighed {
		bands[w.priority] = weight()
		w.weight = bands[w.priority]
	}
	f.cfg.Groups, f.cfg.Weights = groups, bands
	f.longest = max(f.longest, f.cfg.longestWait())
	for i, t := range f.tenants {
		t.flow = f.cfg.Flows[i]
		t.accounts = f.counts.charges(&t.flow)
	}
	for _, n := range f.nodes {
		f.after(f.upTo(within), "", func() {
			k := n.core
			n.do(k, func() { k.Reconfigure(n.now(), f.config(n)); n.pump() })
		})
	}
}

// jump puts the ledger's clock forward or back. What passed by it was no time in which anybody had
// slots: those who had more then are behind by as much, and are repaid.
func (f *fleet) jump(by time.Duration) {
	f.ledgerAhead += by
	f.repaid = f.now.Add(settled + f.cfg.repayment(by.Abs()))
}
