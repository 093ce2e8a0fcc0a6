// Package rig puts gateways together for the tests of package gateway and of its doors: with a
// controller over a ledger in memory, one pool or two, both doors, and model servers of several
// kinds behind them.
package rig
