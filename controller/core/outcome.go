package core

import (
	"errors"

	"github.com/weirflow/weir/shard"
)

// Outcome is how a request's time in flow control ended. Every request has
// exactly one.
type Outcome int

// The outcomes.
const (
	// NotDecided is the zero value; no request ends with it.
	NotDecided Outcome = iota
	// Dispatched: it may go to the pool, and must be released when done.
	Dispatched
	// RejectedCapacity: the buffer was full, on arrival or because a request
	// with a better claim displaced it (ErrQueueFull), or its flow is at a limit of its
	// own that rejects what is over it (ErrFlowLimit). The error is a *shard.Refusal.
	RejectedCapacity
	// RejectedNoEndpoints: the pool has no endpoints and the request may not
	// wait for one.
	RejectedNoEndpoints
	// RejectedOther: it could not be queued for another reason.
	RejectedOther
	// EvictedTTL: its time in the queue ran out.
	EvictedTTL
	// EvictedNoEndpoints: its time to wait for an endpoint ran out.
	EvictedNoEndpoints
	// EvictedContextCancelled: its client went away, or the client's own
	// deadline passed.
	EvictedContextCancelled
	// EvictedOther: it was taken out of the queue for another reason.
	EvictedOther
)

var outcomeNames = [...]string{
	"NotDecided", "Dispatched", "RejectedCapacity", "RejectedNoEndpoints", "RejectedOther",
	"EvictedTTL", "EvictedNoEndpoints", "EvictedContextCancelled", "EvictedOther",
}

// String returns the outcome's name, as in metrics and logs.
func (o Outcome) String() string {
	if o < 0 || int(o) >= len(outcomeNames) {
		return "Unknown"
	}
	return outcomeNames[o]
}

// Errors that say why a request was not dispatched, to be tested with errors.Is.
var (
	ErrQueueFull        = shard.ErrFull
	ErrFlowLimit        = shard.ErrFlowLimit
	ErrNoEndpoints      = errors.New("the pool has no endpoints")
	ErrTTLExpired       = errors.New("waited too long for capacity")
	ErrContextCancelled = errors.New("the client went away while waiting")
	ErrEvicted          = errors.New("an operator ended the request")
	ErrShuttingDown     = errors.New("the flow controller is shutting down")
)
