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
	// Leaseholder is set when the ledger says that this run has held a lease: only such a
	// one can go on by itself during an outage. Gossip leaves it unset; see
	// [store.Shared].
	Leaseholder bool
	// Differs names the settings in which it differs from this replica, separated by
	// commas.
	Differs string
}

// Ledger says which ledger a replica keeps.
type Ledger struct {
	// Identity is the same for those who share a ledger; see [store.Shared]. Empty means
	// unknown, and is taken for the same.
	Identity string
	// Pool and Prefix are where it is, for people to read.
	Pool, Prefix string
}

// Setting is one part of a replica's effective configuration, for all replicas to have
// the same.
type Setting struct {
	// Key is short, and the same in all versions; Path is where it is set.
	Key, Path string
	// Print is its fingerprint.
	Print string
}

// Apart is a replica that gossips with this one and keeps another ledger. The two
// share neither queue nor limit.
type Apart struct {
	ID     string
	Ledger Ledger
}

// Members is who lives, as one replica sees it. Views may differ between
// replicas and from the truth: safety never depends on them.
type Members struct {
	// Live are the live replicas, this one included.
	Live []Member
	// Dead are those that ended without saying so, for as long as the ledger may
	// still count with them.
	Dead []string
	// Apart are those that live and keep another ledger.
	Apart []Apart
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
	// SetLedger says which ledger this replica keeps from now on, by its identity.
	SetLedger(identity string)
	// Leave tells the others that this replica ends, once its tickets are gone,
	// and stops calling the handler.
	Leave(context.Context) error
}
