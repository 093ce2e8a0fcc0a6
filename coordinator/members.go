package coordinator

import "context"

// Member is a replica as the fleet knows it.
type Member struct {
	// ID is unique in the fleet.
	ID string
	// Incarnation tells one run of the replica from the next; it only grows.
	Incarnation uint64
	// Version is the build that it runs, for people to read; empty if it does not say.
	Version string
	// Address is where it takes ticket streams, as host:port.
	Address string
	// Leaving is set when it is about to end and should own nothing any more.
	Leaving bool
}

// Members is who lives, as one replica sees it. Views may differ between
// replicas and from the truth: safety never depends on them.
type Members struct {
	// Live are the live replicas, this one included.
	Live []Member
	// Dead are those that ended without saying so, for as long as the ledger may
	// still count with them.
	Dead []string
}

// Handler takes in what the fleet tells this replica. Its methods return at once
// and may be called from any goroutine.
type Handler interface {
	// MembersChanged tells who lives now: once at the start, whoever it is, and
	// whenever that changes.
	MembersChanged(Members)
	// StreamChanged tells that messages to and from a replica pass, or no longer
	// do.
	StreamChanged(peer string, up bool)
	// Received hands over a message, which is the handler's to keep.
	Received(Message)
}

// Fleet connects a replica to the others.
type Fleet interface {
	// Start begins to call the handler.
	Start(Handler)
	// Send takes a message to its replica, or drops it when there is no stream.
	// It returns at once, and is only called from one goroutine.
	Send(Message)
	// Retire tells the others that this replica is about to end and should own
	// nothing any more.
	Retire()
	// Leave tells the others that this replica ends, once its tickets are gone,
	// and stops calling the handler.
	Leave(context.Context) error
}
