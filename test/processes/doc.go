// Package processes starts weir serve in processes of its own, with a real Redis and
// simulated model servers, puts load on them, and measures at the model servers and
// by the clients what comes of it. Tests that break things use it.
package processes
