// Package pools lets the pools of a process share its part in the fleet: one gossip and one
// stream to each other replica carry what all of them say.
//
//	pool a ──┐                         ┌── pool a
//	pool b ──┼── gossip, one stream ───┼── pool c
//	pool c ──┘   messages name pools   └── pool d
//
// Replicas say to each other which pools they have, in full when a stream comes up and each
// change from then on. To a pool only those are members that have it, with the same ledger.
// One that has not said so yet counts as a member: an outage share must not be too large.
package pools
