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
	// Guaranteed returns what a priority is guaranteed of the pool, from 0 to 1; nil
	// guarantees nothing.
	Guaranteed func(priority int) float64
	// BandWeight returns what a priority gets beside others by its weight, 0 for one that goes
	// strictly before all lower ones and after all higher ones; nil is for all of them.
	BandWeight func(priority int) float64
	// UsageLimit says how full the pool may get for each band.
	UsageLimit policies.UsageLimitPolicy
	// TTL is how long a request may wait while the pool has endpoints, where its band
	// says nothing of its own, and NoEndpointTTL while it has none; 0 means without limit. A negative
	// NoEndpointTTL rejects at once.
	TTL, NoEndpointTTL time.Duration
	// Timings are the times that the replica works by; see [DefaultTimings].
	Timings Timings
	// OnStoreOutage says how it goes on while the ledger is out of reach.
	OnStoreOutage StoreOutage
	// CountTokens has the ledger count what requests at each endpoint are expected to
	// cost, for a detector that needs it.
	CountTokens bool
	// InFleet delays the first turn until SetMembers was called: a replica that registers
	// with a ledger that has just lost its memory must state the real size of the fleet,
	// or the ledger would not wait for the others.
	InFleet bool
	// Peers bound what another replica's tickets take here; DefaultPeerBounds by default.
	Peers PeerBounds
	// Eviction lets requests in flight be revoked for a higher band that waits at
	// a full pool; nil for never.
	Eviction *Eviction
	// Seed makes the jitter of retries differ between replicas.
	Seed uint64
}

// Eviction says which requests in flight may be revoked, and which of them first.
type Eviction struct {
	Filter policies.EvictionFilter
	Order  policies.EvictionOrder
}
