package core

import (
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// StoreOutage says what a replica does while the ledger is out of reach.
type StoreOutage int

// What can be done.
const (
	// Share: dispatch within this replica's share of the limit.
	Share StoreOutage = iota
	// Hold: dispatch nothing until the ledger is back.
	Hold
)

// Config tunes a Core. All fields are needed unless they say otherwise.
type Config struct {
	// Replica is this replica's id, unique in the fleet, and Incarnation tells
	// this run of it from earlier ones: its start in nanoseconds.
	Replica     string
	Incarnation uint64
	// Shard configures the queues.
	Shard shard.Config
	// UsageLimit says how full the pool may get for each band.
	UsageLimit policies.UsageLimitPolicy
	// TTL is how long a request may wait while the pool has endpoints, and
	// NoEndpointTTL while it has none; 0 means for ever. A negative
	// NoEndpointTTL rejects at once.
	TTL, NoEndpointTTL time.Duration
	// Lease is the ledger's lease; an idle replica takes a turn every third of
	// it.
	Lease time.Duration
	// WaitingTurn is the longest time between two turns while tickets wait: the
	// most that a lost wake-up costs.
	WaitingTurn time.Duration
	// FullPause is how long offers may wait for company while the pool is full
	// and none can be granted; 0 states each at once. It saves turns where a turn
	// costs a round trip.
	FullPause time.Duration
	// OutageAfter is how long turns may fail before the replica goes on by
	// itself. Until then requests only wait.
	OutageAfter time.Duration
	// OnStoreOutage says how it goes on.
	OnStoreOutage StoreOutage
	// PeerTimeout is how long another replica may take to acknowledge tickets
	// before this one queues them itself. Shorter bridges a stalled owner sooner
	// and is sooner mistaken.
	PeerTimeout time.Duration
	// CountTokens has the ledger count what requests at each endpoint are expected to
	// cost, for a detector that judges by it.
	CountTokens bool
	// InFleet is set where SetMembers will be called: no turn is taken before. Who
	// registers with a ledger that has just lost its memory says how many others it
	// must wait for, and would otherwise say that there are none.
	InFleet bool
	// Eviction lets requests in flight be revoked for a higher band that waits at
	// a full pool; nil for never.
	Eviction *Eviction
	// Seed makes the jitter of retries differ between replicas.
	Seed uint64
}
