package store

import (
	"context"
	"errors"
	"fmt"
)

// ErrUnavailable wraps every failure of a turn that may succeed when tried again: the
// store is down, out of reach, loading or failing over.
var ErrUnavailable = errors.New("ledger unavailable")

// OtherFormatError says that replicas of another version keep the ledger, in a format that
// this one does not read: it must do without until the last of them has left. It is an
// [ErrUnavailable].
type OtherFormatError struct {
	Format string // theirs
	// Held is how many requests they last said that they hold, what was handed out ahead
	// of need included. Negative: they have not said so since they are asked.
	Held int64
}

// Error implements error.
func (e *OtherFormatError) Error() string {
	return fmt.Sprintf("replicas of another version keep the ledger, in their format %s: wait until the last of them has left", e.Format)
}

// Unwrap makes it ErrUnavailable: it is waited for.
func (e *OtherFormatError) Unwrap() error { return ErrUnavailable }

// ErrSuperseded says that a later process runs under the same replica id. It is
// final: the sender must stop or take another id.
var ErrSuperseded = errors.New("a later process has taken this replica id")

// Ledger is the shared state of one pool.
type Ledger interface {
	// Turn makes one atomic exchange. A replica has at most one under way. The
	// statement is not kept; the reply is valid until the replica's next turn.
	//
	// An error says that the turn may or may not have been applied; the caller
	// states the truth again in a turn of a higher number.
	Turn(ctx context.Context, s *Statement) (*Reply, error)

	// Wakeups returns a channel that gets a value when another replica's turn left
	// this one a message. Wake-ups may be lost or late: they only save time. The
	// channel is closed when ctx ends.
	Wakeups(ctx context.Context, replica string) <-chan Wakeup

	// Close releases the ledger's resources. No turn may be under way.
	Close() error
}

// PendingWakeups is how many wake-ups a ledger keeps for a replica that does not
// take them; further ones are lost.
const PendingWakeups = 64

// Wakeup notifies a replica. It carries the messages that one turn left, so that the
// replica need not take a turn to fetch them if none before them is missing; the ledger
// keeps them until a statement says that they were read.
type Wakeup struct {
	// Incarnation and Registered say for which registration the messages are: the
	// number of the statement that registered. In another one the same numbers
	// are other messages.
	Incarnation, Registered uint64
	// Recall says that the replica has something that others wait for: requests to be
	// revoked, float, or a line. From now on it lets go only what is granted, and it takes a
	// turn at once.
	Recall   bool
	Messages []Message
}

// Inline is implemented by a ledger whose Turn may return without waiting for
// anything outside the process, so that a driver may take turns in its own
// loop.
type Inline interface{ Inline() bool }

// IsInline reports whether a ledger's turns may be taken so.
func IsInline(l Ledger) bool {
	i, ok := l.(Inline)
	return ok && i.Inline()
}
