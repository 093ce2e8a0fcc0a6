// Package overrides has what operators changed for a time: flows' weights and limits, and
// endpoints that are sent nothing more.
//
// The ledger keeps them, so that they hold at every replica and over its restarts. Each
// replica looks there every second, and whenever it is told to; while the ledger is out of
// reach, what it knows holds until its time is up. A ledger that lost them, as by a wipe, is
// given them again by whoever knows them.
package overrides
