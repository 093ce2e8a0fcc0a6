// Package demo runs a fleet in one process: replicas, simulated model servers
// and tenants with unequal, unevenly routed load, all talking HTTP over
// loopback. It runs the same load twice, once over one shared ledger and once with
// each replica on its own and the limit divided, to show the difference.
package demo
