// Package redis keeps the ledger in Redis, so that replicas in different
// processes share one limit and one account of fairness.
//
//	replica ── FCALL turn/ ───────> Redis: all of a pool's keys share one hash
//	        <── reply ────────────          tag, so one node has them all
//	        <── PUBLISH wake ─────          when another's turn left messages
//
// A turn is one function, the files in turn/, and one round trip; a script where Redis has no
// function libraries. Every key has a TTL, so
// that an abandoned pool leaves nothing behind. Nothing is lost with Redis: to a replica
// whose turn meets an empty store the reply is to register, and it states everything.
package redis
