package shard

import (
	"errors"
	"fmt"
	"time"
)

// What there is no room in; a Refusal wraps one of them.
var (
	// ErrFull says that the buffer is full, and that the ticket's flow holds most of it for
	// its weight.
	ErrFull = errors.New("the queue is full")
	// ErrFlowLimit says that the ticket's flow has a limit of its own, which rejects what is
	// over it.
	ErrFlowLimit = errors.New("the flow is at a limit of its own")
)

// Cause is what has no room for a ticket.
type Cause int

// The causes. Replicas tell each other their numbers: they keep them.
const (
	// UnknownCause is what an owner may say that knows more causes than this replica.
	UnknownCause Cause = iota
	// BandFull: as much waits in its band as may.
	BandFull
	// BufferFull: as much waits in all bands together as may.
	BufferFull
	// TooLarge: the ticket alone is larger than all that may wait.
	TooLarge
	// BufferShare: it waited already, and had to make room in a full buffer for a flow
	// that holds less of it.
	BufferShare
	// FlowInFlight: its flow has as many requests in flight as it may.
	FlowInFlight
	// FlowTokens: its flow has spent its tokens.
	FlowTokens
)

var causeNames = [...]string{"unknown", "band_full", "buffer_full", "too_large", "buffer_share", "flow_in_flight", "flow_tokens"}

// String returns the cause's name, as in metrics and logs.
func (c Cause) String() string {
	if c < 0 || int(c) >= len(causeNames) {
		return causeNames[UnknownCause]
	}
	return causeNames[c]
}

// Refusal is the error of a ticket that there is no room for: errors.Is takes it for
// ErrFlowLimit or for ErrFull.
type Refusal struct {
	Cause Cause
	// After is in how long there is room again, where that is known; else 0.
	After time.Duration
	// Limit is the flow's, where that is the cause.
	Limit Limit
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("%v (%v)", r.Unwrap(), r.Cause) }

// Unwrap says which kind it is of.
func (r *Refusal) Unwrap() error {
	if r.Cause == FlowInFlight || r.Cause == FlowTokens {
		return ErrFlowLimit
	}
	return ErrFull
}
