package gateway

import "net/http"

// bound is a limit on what a request may take of this replica or of the pool. It is the
// error of one that went beyond it, and the answer to it where none has begun.
type bound struct {
	name    string // in metrics
	refusal refusal
}

// Error implements error.
func (b *bound) Error() string { return b.refusal.message }

// The bounds there are.
var (
	errMemory = &bound{"memory", refusal{
		http.StatusServiceUnavailable, "memory_exhausted", "rejected-memory",
		"this replica has no memory left for the request; try again later",
	}}
	errStalled = &bound{"body", refusal{
		http.StatusRequestTimeout, "request_timeout", "",
		"the request's body took too long to come",
	}}
)
