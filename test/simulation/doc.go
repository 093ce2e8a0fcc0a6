// Package simulation runs a whole fleet in one goroutine and simulated time: the
// real cores of several replicas, the real memory ledger (in TestDamage the one in
// Redis), and models of clients, of gossip, and of the network between replicas and
// to the ledger, all driven by a seed.
//
//	clients ──> core ── messages ──> core      network.go: lost, twice, late, cut
//	             │ ▲                            faults.go:  what goes wrong, when
//	       turns ▼ │ wake-ups                   check.go:   the invariants
//	           memory ledger                    ledger.go:  rolled back by replay
//
// The invariants are checked after every event. A failing seed replays exactly,
// and is reported with the fewest faults that still make it fail.
package simulation
