// Package process runs weir serve in processes of its own, between simulated model
// servers and clients, for tests that meet it as its users and its enemies do.
package process
