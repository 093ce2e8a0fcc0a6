package coordinator

import (
	"time"

	"github.com/weirflow/weir/shard"
)

// ProtocolVersion is what replicas speak with each other. A replica speaks with
// its own version and the one before. Version 2 added observations; version 3 proof of
// the fleet's key, the ledger's identity, and tickets that an owner hands back; version 4
// questions of operators. Processes with several pools have said since version 4 which pool
// is meant; to others they are of another ledger.
const ProtocolVersion = 4

// Message is what one replica says to another. The first part is said by the
// sender as an ingress, about its tickets in the receiver's queues; the second as
// an owner, about the receiver's tickets in its own.
//
// Messages may be lost, repeated or come out of order: those that carry tickets
// are numbered and acknowledged, and when a number is missing the sender repeats all of
// its tickets.
type Message struct {
	// From and To are replicas. Incarnation is the sender's run, ToIncarnation
	// the receiver's as the sender knows it.
	From, To                   string
	Incarnation, ToIncarnation uint64

	// Number counts the messages with tickets from this sender to the receiver,
	// from 1; 0 means that there is nothing to acknowledge.
	Number uint64
	// Full is set when Queued repeats in full the sender's tickets that the receiver
	// should have.
	Full bool
	// Queued are tickets to queue, all of them the sender's.
	Queued []shard.Ticket
	// Gone numbers the sender's tickets that wait no longer, or wait elsewhere.
	Gone []uint64

	// Came numbers the sender's tickets that are ahead of their requests no longer: they are in the
	// receiver's queues, or were.
	Came []uint64

	// Acknowledged is the last number taken in from the receiver's incarnation.
	Acknowledged uint64
	// Resync asks for a Full message: a number was missing.
	Resync bool
	// Rejected numbers the receiver's tickets that there was no room for. They are named
	// again until the receiver says they are gone.
	Rejected []uint64
	// Refusals says why, of each in Rejected; the flow's limit is the receiver's to look up.
	Refusals []shard.Refusal
	// Unserved numbers the receiver's tickets that the sender's ledger dropped because
	// the receiver has no lease there, and Declined those beyond what the sender takes of
	// one replica: the receiver is to queue them itself.
	Unserved, Declined []uint64
	// Offered numbers the receiver's traced tickets that the sender offers to the ledger for
	// the first time. It is for operators, and is said once.
	Offered []uint64

	// Leaving is set when the sender is about to end: give it no tickets.
	Leaving bool
	// LedgerLost is set when the ledger is out of the sender's reach.
	LedgerLost bool
	// Turn is about how long the sender's turns with the ledger take; 0 where that is not long.
	Turn time.Duration

	// Pool is which pool it is about, between processes that have several; empty where the
	// fleet has one.
	Pool string
	// Serves says which pools the sender has, in a message with nothing else; ServesAll is
	// set when it has no others.
	Serves    []Serving
	ServesAll bool
}

// Serving is what a replica says of a pool that it has.
type Serving struct {
	// Pool is its name, and Ledger the identity of its ledger; empty for unknown.
	Pool, Ledger string
	// Settings are fingerprints, as Prints writes them.
	Settings string
	// Leaving is set when the replica should own nothing of it any more, and Ended when it
	// does not have the pool any more.
	Leaving, Ended bool
}
