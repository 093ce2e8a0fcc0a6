// Package store is the contract of the ledger: the shared state of a pool, through which
// all replicas see one order of priorities, one account of fairness and one limit on
// requests in flight.
//
//	replica ── Statement: what is true here ──>  ┌────────────────┐
//	          in flight, queued, offers, loads   │ ledger         │
//	                                             │  held, offers  │  one atomic
//	replica <── Reply: messages, totals, V ────  │  counters, V   │  turn
//	          grants and where to, taken offers  │  loads         │
//	                                             └────────────────┘
//
// A turn states the truth and not a change: a replica that repeats itself, or
// whose last reply was lost, changes nothing by it; to a ledger that forgot everything,
// everything is stated again.
//
// Package store/memory keeps a ledger in the process, package store/redis in Redis;
// package storetest is the conformance suite that both pass. docs/ledger.md describes the
// protocol, and the transcripts in testdata show it.
package store
