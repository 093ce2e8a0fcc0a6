package shard

// A group that is guaranteed a part of the pool goes before others in the ledger when something
// is due to it, and that only sees what is offered. So a few of its tickets are always offered
// of each band, beside the places of the rest, however it stands by its weight: others, which
// go before it in the usual order, cannot take their places.

// free is how many of the offers in the group others can take the places of.
func (g *group) free() int {
	n := g.offers
	if len(g.groups) > 0 {
		n = min(n, g.openIn)
	}
	return max(0, min(n, g.offers-g.least))
}

// offerFloors has tickets offered of the groups that are guaranteed something.
func (bd *band) offerFloors() {
	for _, g := range bd.floors {
		for g.offers < g.least && g.ready() && !g.closed() {
			g.offerNext()
		}
	}
}

// closed reports whether nothing of the group may be offered, as it is or is in one that is
// closed.
func (g *group) closed() bool {
	for outer := range g.outwards() {
		if outer.full && outer.most == 0 {
			return true
		}
	}
	return false
}
