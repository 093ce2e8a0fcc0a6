// Package core is the replica's brain: a state machine that turns events into
// effects, without goroutines, locks, clocks, I/O or randomness of its own.
//
//	events                          effects, handed out by Ready
//	  Enqueue, Cancel, Complete ──┐   ┌──> Decisions: waiters to wake
//	  SetPool, Tick, Wake        ─┤   ├──> Turn: a statement for the ledger
//	  TurnDone                   ─┴───┴──> Next: when to tick at the latest
//
// A driver (package controller) feeds it and carries its effects out. The same
// core runs in simulated time, many of them in one test.
//
// At most one turn is under way. Whatever happens meanwhile goes with the next
// (group commit), so a busy replica takes a fraction of a turn per request and
// an idle one a turn a second.
package core
