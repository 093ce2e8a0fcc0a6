// Package redis keeps the ledger in Redis, so that replicas in different
// processes share one limit and one account of fairness.
//
//	replica ── EVALSHA turn/ ─────> Redis: all of a pool's keys share one hash
//	        <── reply ────────────          tag, so one node has them all
//	        <── PUBLISH wake ─────          when another's turn left messages
//
// A turn is one script, the files in turn/, and one round trip. Every key has a TTL, so that a pool
// that is abandoned leaves Redis clean. Nothing is lost with Redis: a replica
// whose turn meets an empty store is told to register, and restates everything.
package redis
