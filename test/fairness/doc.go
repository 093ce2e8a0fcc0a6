// Package fairness proves fairness: it plays arrival patterns from the literature
// (Sheng et al., OSDI '24, section 5) against every fairness policy, on one replica
// and on four, and measures who was served what.
//
//	scenario: tenants' arrivals ──> 1 or 4 controllers ──> a pool of slots
//	                                     │ one ledger            │ tokens as they stream
//	                                     ▼                       ▼
//	                                              service over time: gap, index, waits
//
// "go test" plays them in simulated time over the memory ledger. "make fairness"
// plays them in real time over a Redis, and writes docs/fairness.
package fairness
