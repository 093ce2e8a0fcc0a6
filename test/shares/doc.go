// Package shares measures what guarantees, weights and maxima give, on real processes: a
// fleet of three replicas over a Redis, whose tenants come in unevenly, beside one replica.
//
//	clients of tenants ──> 3 or 1 replicas ──> a model server of 8 slots
//	                            │ Redis            │ who has how many of them, at any time
//	                            ▼                  ▼
//	                       one ledger          slots over time: parts, lack, plots
//
// "go test" measures for some seconds. "make shares" measures for longer, draws the plots in
// docs/shares and writes the table of docs/shares.md.
package shares
