// Package coordinator is the contract between a replica and the rest of its
// fleet: who lives, and what replicas say to each other.
//
//	          gossip (package gossip)             who is alive
//	replica A ────────────────────── replica B
//	          ticket stream (package stream)      tickets, one stream a pair;
//	                                              what they see of endpoints, too
//
// What gossip says is a hint: it decides which replica queues a flow, never whether a
// request may go. What must arrive travels by the streams, and is repeated when in doubt.
// What replicas see of the pool's endpoints may be lost: newer observations follow soon.
package coordinator
