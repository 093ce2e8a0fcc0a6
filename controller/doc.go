// Package controller is the flow controller of one replica: it holds requests
// until the whole fleet's order of priorities, account of fairness and limit in
// flight let them go.
//
//	caller ── EnqueueAndWait ──> inbox ──> driver ──> core (package core)
//	caller <── outcome ───────────────────  │  ▲
//	                                  turn  ▼  │  reply
//	                                        ledger (package store)
//
// The driver is one goroutine that feeds the deterministic core and carries its
// effects out. Callers only meet its inbox, so the hot path has a single writer
// and no lock around the queues.
//
// A caller's Request is what it asks and what came of it, with its place to wait; the
// core takes in a copy of what it asks as core.Request, and makes of it the ticket that
// the fleet sees. The body of a request never comes here.
package controller
