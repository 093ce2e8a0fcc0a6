// Package simulation runs a whole fleet in one goroutine and simulated time: the
// real cores of several replicas, the real memory ledger, and models of clients
// and of the way to the ledger, all driven by a seed. The invariants are checked
// after every event, and a failing seed replays exactly.
package simulation
