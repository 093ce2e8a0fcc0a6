// Package stream carries messages between replicas: one gRPC stream for each
// pair, which the replica of the lower id dials.
//
//	core ─ Send ─> out ─> gRPC stream ─> Received ─> core of the other replica
//
// A stream delivers in order or breaks; what was under way when it broke is repeated by
// the cores. Each end first says who it is, which protocol version it speaks and how many
// shards it has, and refuses what does not match.
package stream
