// Package integration runs weir serve in processes of its own, with a real Redis
// and simulated model servers, breaks things under load, and measures at the
// model servers what came of it.
package integration
