package coordinator

import (
	"context"
	"slices"
)

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
	// Leaseholder is set when the ledger says that this run has held a lease: only such
	// a replica dispatches by itself in an outage. Gossip leaves it unset; see
	// [store.Shared].
	Leaseholder bool
	// Differs names the settings in which it differs from this replica, separated by
	// commas.
	Differs string
}

// Ledger says which ledger a replica uses.
type Ledger struct {
	// Identity is the same for replicas that share a ledger; see [store.Shared]. Empty
	// means unknown, and counts as the same.
	Identity string
	// Pool and Prefix are where it is, for people to read.
	Pool, Prefix string
}

// Apart is a replica that gossips with this one and uses another ledger. The two share
// neither queues nor limit.
type Apart struct {
	ID     string
	Ledger Ledger
}

// Run is one run of a replica.
type Run struct {
	ID          string
	Incarnation uint64
}

// Members is who lives, as one replica sees it. Views may differ between
// replicas and from the truth: safety never depends on them.
type Members struct {
	// Live are the live replicas, this one included.
	Live []Member
	// Dead are those that ended without saying so, for as long as the ledger may
	// still count them.
	Dead []string
	// Ended are runs whose processes are known to have ended, and their connections with
	// them: the kernel closed those and takes none at their address.
	Ended []Run
	// Apart are those that live and use another ledger.
	Apart []Apart
}

// Equal reports whether both say the same.
func (m Members) Equal(other Members) bool {
	return slices.Equal(m.Live, other.Live) && slices.Equal(m.Dead, other.Dead) && slices.Equal(m.Ended, other.Ended) && slices.Equal(m.Apart, other.Apart)
}

// Handler receives what concerns this replica from the fleet. Its methods return at once
// and may be called from any goroutine.
type Handler interface {
	// MembersChanged says which replicas live: once at the start, and whenever that
	// changes.
	MembersChanged(Members)
	// StreamChanged says that messages to and from a replica pass, or no longer do.
	StreamChanged(peer string, up bool)
	// Received hands over a message, which the handler may keep.
	Received(Message)
}

// Fleet connects a replica to the others.
type Fleet interface {
	// Start begins to call the handler.
	Start(Handler)
	// Send takes a message to its replica, or drops it when there is no stream.
	// It returns at once, and is only called from one goroutine.
	Send(Message)
	// Retire informs the others that this replica is about to end and should own
	// nothing from now on.
	Retire()
	// Ledger returns which ledger this replica uses, as the others know it by its identity;
	// empty for unknown. SetLedger says which one it uses from now on.
	Ledger() (identity string)
	SetLedger(identity string)
	// Leave informs the others that this replica ends, once its tickets are gone,
	// and stops calling the handler.
	Leave(context.Context) error
}
