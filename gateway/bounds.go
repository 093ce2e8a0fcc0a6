package gateway

import (
	"net/http"

	"github.com/weirflow/weir/gateway/refusal"
)

// bound is a limit on what a request may take of this replica or of the pool. It is the
// error of one that went beyond it, and the answer to it where none has begun.
type bound struct {
	name     string // in metrics
	endpoint bool   // it is the model server's fault
	refusal  refusal.Refusal
}

// Error implements error.
func (b *bound) Error() string { return b.refusal.Message }

// The bounds there are.
var (
	errMemory = &bound{name: "memory", refusal: refusal.Refusal{
		Status: http.StatusServiceUnavailable, Code: "memory_exhausted", Reason: refusal.Memory,
		Message: "this replica has no memory left for the request; try again later",
	}}
	errStalled = &bound{name: "body", refusal: refusal.Refusal{
		Status: http.StatusRequestTimeout, Code: "request_timeout",
		Message: "the request's body took too long to come",
	}}
	errClientStalled = &bound{name: "client", refusal: refusal.Refusal{
		Status: http.StatusRequestTimeout, Code: "client_stalled",
		Message: "the client took nothing of the answer for too long",
	}}
	errFirstByte = &bound{name: "first_byte", endpoint: true, refusal: refusal.Refusal{
		Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
		Message: "the model server did not begin to answer in time",
	}}
	errBetweenBytes = &bound{name: "between_bytes", endpoint: true, refusal: refusal.Refusal{
		Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
		Message: "the model server stopped in the middle of its answer",
	}}
	// By external processing, it may as well be the client that takes no more.
	errAnswerStopped = &bound{name: "between_bytes", refusal: errBetweenBytes.refusal}
	errRequestTime   = &bound{name: "request", refusal: refusal.Refusal{
		Status: http.StatusGatewayTimeout, Code: "request_too_long",
		Message: "the request took longer than it may",
	}}
)
