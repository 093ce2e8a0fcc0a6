// Package shard holds the queues of the registry shards that a replica owns.
//
//	Set ── bands (by priority)
//	        └─ groups, as deep as is configured; none by default
//	             └─ flows, a heap by the rank of their best ticket
//	                  └─ tickets, a heap by the ordering policy
//
// Its flows are merged per band, so that the best of all owned shards is found
// in O(log flows); a flow remembers which shard it belongs to, for handing over.
//
// A Set decides which tickets to put before the ledger: of each band the best
// few, a better newcomer taking the place of the worst. What was stated to the ledger,
// and what has changed since, is kept with the tickets, so a lost reply loses nothing.
//
// It is a plain data structure without goroutines, locks or a clock of its own.
package shard
