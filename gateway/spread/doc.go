// Package spread has tenants, flows or groups, keep one share over all pools: one that spreads over
// pools gains nothing.
//
// Within a pool tenants share by their weights. A tenant whose share is one over all pools has
// in each only a part of its weight: as great a part as it holds there of all that it holds, in
// slots. So its parts add up to one weight. Where it is served, its part stays; where others
// take more, it shrinks and grows elsewhere:
//
//	weight in a pool = weight × slots held there / slots held in all pools
//
// Between two tenants that share a full pool, each is then served by its weight times the part
// that it has there; the parts come to rest only where all those served in the pool hold as much
// over all pools for their weight. Who holds more elsewhere, as where nobody else wants it, is
// left with no more than the [Least] part, and nobody is kept from a slot that no other wants.
// This is the proportional response of buyers in a market, who bid for each good in proportion
// to what they got of it, and comes to rest at the fair prices.
//
// What is held is averaged over some seconds, and so is all that follows: idling saves nothing
// for longer. A replica that cannot reach the store knows the pools of its own process.
package spread
