package api

import "time"

// Replicas is the answer of /v1/replicas.
type Replicas struct {
	Fleet Fleet `json:"fleet"`
	Page
	Replicas []Replica `json:"replicas"`
}

// Replica is one replica.
type Replica struct {
	ID string `json:"id"`
	// Self is set for the one that was asked.
	Self bool `json:"self,omitempty"`
	// Version is the build that it runs; empty if it does not say.
	Version string `json:"version,omitempty"`
	// Incarnation tells one run of the replica from the next.
	Incarnation uint64 `json:"incarnation"`
	// Started is when this run began; absent if it does not answer.
	Started *time.Time `json:"started,omitempty"`
	// Live is what gossip says, Reachable whether its ticket streams work: to all replicas,
	// or for one replica's answer to that one.
	Live      bool `json:"live"`
	Reachable bool `json:"reachable"`
	// Answered is set if it answered itself; of others there is only what is known here.
	Answered bool `json:"answered"`
	Leaving  bool `json:"leaving,omitempty"`
	// Shadow is set if it holds and refuses nothing, and only plays flow control.
	Shadow     bool `json:"shadow,omitempty"`
	LedgerLost bool `json:"ledger_lost,omitempty"`
	// LedgerState is how it stands with the ledger, TurnMS how long its exchanges take.
	LedgerState string  `json:"ledger_state,omitempty"`
	TurnMS      float64 `json:"turn_ms"`
	// Fingerprint is that of its settings that should be the same everywhere, and Differs
	// those in which it differs from most others, or from the replica that was asked. Refused
	// is a changed configuration that it did not take over.
	Fingerprint string         `json:"fingerprint,omitempty"`
	Differs     []string       `json:"differs,omitempty"`
	Refused     *RefusedConfig `json:"refused_config,omitempty"`
	// OtherLedger is where its ledger is, if it keeps another one than the replica that was
	// asked: they then share neither queues nor limits.
	OtherLedger *OtherLedger `json:"other_ledger,omitempty"`
	// Lost is what it still counts for, if its lease in the ledger ended without a sign that
	// its requests did.
	Lost   *Lost `json:"lost,omitempty"`
	Shards int   `json:"shards"`
	// Waiting and InFlight are requests whose connections it holds, Queued what waits in
	// its queues.
	Waiting  int   `json:"waiting"`
	InFlight int   `json:"in_flight"`
	Queued   int64 `json:"queued"`
	// TicketsThere are requests of the replica that was asked that wait in this one's
	// queues, TicketsHere requests of this one that wait in the other's.
	TicketsThere int `json:"tickets_there"`
	TicketsHere  int `json:"tickets_here"`
}

// Lost is what a lost replica counts for: so many requests in flight, and for how many more
// seconds at most.
type Lost struct {
	InFlight int64   `json:"in_flight"`
	Seconds  float64 `json:"seconds"`
}

// OtherLedger is where a replica says that its ledger is.
type OtherLedger struct {
	Pool   string `json:"pool"`
	Prefix string `json:"prefix"`
}

// Shards is the answer of /v1/shards.
type Shards struct {
	Fleet Fleet `json:"fleet"`
	// Version counts the shard maps that the replica that was asked drew.
	Version uint64  `json:"version"`
	Shards  []Shard `json:"shards"`
}

// Shard is one shard: which replica queues its flows, how many flows there are and how
// much of them waits.
type Shard struct {
	Shard  int    `json:"shard"`
	Owner  string `json:"owner"`
	Flows  int    `json:"flows,omitempty"`
	Queued int64  `json:"queued,omitempty"`
}

// Config is the answer of /v1/config.
type Config struct {
	Fleet Fleet `json:"fleet"`
	// YAML is the effective configuration of the replica that was asked: its files and
	// flags with their defaults, and with secrets left out.
	YAML string `json:"yaml"`
	// Files are read, Loaded is when they last were.
	Files  []string  `json:"files"`
	Loaded time.Time `json:"loaded"`
	// Replicas are those of the fleet and the fingerprints of their settings that should be
	// the same everywhere.
	Replicas []ConfigOf `json:"replicas"`
}

// ConfigOf says which configuration a replica has.
type ConfigOf struct {
	Replica     string    `json:"replica"`
	Fingerprint string    `json:"fingerprint"`
	Loaded      time.Time `json:"loaded"`
	// Refused is a later one that it did not take over.
	Refused *RefusedConfig `json:"refused,omitempty"`
}

// RefusedConfig is a changed configuration that is not in effect.
type RefusedConfig struct {
	// At is when it was refused, and Why for what.
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}
