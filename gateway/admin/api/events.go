package api

import "time"

// Events is the answer of /v1/events, the latest first.
type Events struct {
	Fleet Fleet `json:"fleet"`
	Page
	Events []Event `json:"events"`
}

// The kinds of events.
const (
	ReplicaJoined   = "replica_joined"
	ReplicaLost     = "replica_lost"
	ReplicaLeft     = "replica_left"
	LedgerState     = "ledger_state"
	LedgerWiped     = "ledger_wiped"
	EndpointJoined  = "endpoint_joined"
	EndpointLeft    = "endpoint_left"
	EndpointEjected = "endpoint_ejected"
	EndpointBack    = "endpoint_back"
	ConfigReloaded  = "config_reloaded"
	ConfigRefused   = "config_refused"
	ShadowChanged   = "shadow_changed"
	LimitChanged    = "limit_changed"
	OverrideSet     = "override_set"
	RequestEvicted  = "request_evicted"
)

// How bad an event is.
const (
	Info    = "info"
	Warning = "warning"
	Severe  = "error"
)

// Event is something that happened.
type Event struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	// Severity is info, warning or error.
	Severity string `json:"severity"`
	// Subject is the replica, endpoint or else that it is about, Text what happened, for
	// people.
	Subject string `json:"subject"`
	Text    string `json:"text"`
	// Replicas are those that saw it.
	Replicas []string `json:"replicas"`
}

// History is the answer of /v1/history.
type History struct {
	// Replica is the one that was asked; the samples are of the fleet.
	Replica string `json:"replica"`
	// StepMS is the time between two samples. Each is of the time until At.
	StepMS  int64    `json:"step_ms"`
	Samples []Sample `json:"samples"`
}

// Sample is the pool at one time.
type Sample struct {
	At time.Time `json:"at"`
	// Limit is null for no limit.
	Limit    *int64 `json:"limit"`
	InFlight int64  `json:"in_flight"`
	Queued   int64  `json:"queued"`
	// QueuedByBand is what waits by priority, which are the names.
	QueuedByBand map[string]int64 `json:"queued_by_band,omitempty"`
	Requests     float64          `json:"requests_per_second"`
	Tokens       float64          `json:"tokens_per_second"`
	Refused      float64          `json:"refused_per_second"`
	// Waits of requests that were dispatched; null if there were none.
	WaitP50MS *float64 `json:"wait_p50_ms"`
	WaitP99MS *float64 `json:"wait_p99_ms"`
	// Replicas is how many the sample is of.
	Replicas int `json:"replicas"`
}
