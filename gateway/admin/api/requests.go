package api

import "time"

// Requests is the answer of /v1/requests.
type Requests struct {
	Fleet Fleet `json:"fleet"`
	Page
	Requests []Request `json:"requests"`
}

// Request is a request that waits or is in flight.
type Request struct {
	// ID is what its client knows it by, or else its Ticket; either finds it at
	// /v1/requests/ID. The ticket names it in the fleet.
	ID       string `json:"id"`
	Ticket   string `json:"ticket"`
	Flow     string `json:"flow"`
	Priority int    `json:"priority"`
	// State is waiting or in_flight.
	State string `json:"state"`
	// InLine says of one that waits that it is in no queue any more: it is next in order, and
	// goes when another of its ingress ends.
	InLine bool `json:"in_line,omitempty"`
	// Shadow says that the request went at once: its state is what flow control would have
	// made of it.
	Shadow bool `json:"shadow,omitempty"`
	// Arrived is when it came in, by the ledger's clock, AgeMS ago; Deadline when its wait
	// ends at the latest.
	Arrived      time.Time  `json:"arrived"`
	AgeMS        int64      `json:"age_ms"`
	Deadline     *time.Time `json:"deadline,omitempty"`
	Bytes        int64      `json:"bytes"`
	InputTokens  int64      `json:"input_tokens"`
	OutputTokens int64      `json:"output_tokens"`
	// Ingress is the replica that holds its connection, Owner the one in whose queue it
	// waits, and Endpoint the model server it went to.
	Ingress  string `json:"ingress"`
	Owner    string `json:"owner,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
}

// RequestDetail is the answer of /v1/requests/{id}.
type RequestDetail struct {
	Fleet Fleet `json:"fleet"`
	Request
	// Why says why it waits; absent for one in flight.
	Why *Why `json:"why,omitempty"`
}

// What holds a request; see Why.HeldBy.
const (
	// HeldByNothing: it goes with the next exchange with the ledger.
	HeldByNothing = "nothing"
	// HeldByPool: as many requests are in flight as the pool takes.
	HeldByPool = "pool_limit"
	// HeldByBand: as many are in flight as its band may use of the pool.
	HeldByBand = "band_limit"
	// HeldByFlow: its flow is at a limit of its own.
	HeldByFlow = "flow_limit"
	// HeldByGroup: a group that its flow is in is at its maximum.
	HeldByGroup = "group_maximum"
	// HeldByPriority: requests of a higher priority wait, and go first.
	HeldByPriority = "higher_priority"
	// HeldByEndpoints: no endpoint can be used.
	HeldByEndpoints = "no_endpoints"
	// HeldByMetrics: no endpoint's metrics can be read, so that all count as full.
	HeldByMetrics = "metrics_unreadable"
	// HeldByLedger: the ledger is out of reach.
	HeldByLedger = "ledger"
)

// Why says why a request waits.
type Why struct {
	// HeldBy is one of the constants, Reason the same in words.
	HeldBy string `json:"held_by"`
	Reason string `json:"reason"`
	// Place is where it stands, 1 being next, of InBand waiting in its band; or, where its
	// flow is in a group, of InGroup waiting in that one there, since groups take turns. Group
	// is the path of the innermost.
	Place   int    `json:"place"`
	InBand  int    `json:"in_band"`
	Group   string `json:"group,omitempty"`
	InGroup int    `json:"in_group,omitempty"`
	// PlaceInFlow is where it stands among those of its own flow, 1 being next.
	PlaceInFlow int `json:"place_in_flow"`
	// Ahead are those that go before it as things are: by flow in its own band, the most
	// first, and by band above it. AheadFlows is how many flows there are; the list may be
	// cut.
	Ahead      []Ahead `json:"ahead"`
	AheadFlows int     `json:"ahead_flows"`
	// ExpectedMS is about how long it will still wait, from the rate at which requests
	// went of late; null if nothing went, or nothing can go as things are.
	ExpectedMS *int64 `json:"expected_ms"`
	// Limit is the flow's own, if it has one, and InFlight what it has in flight.
	Limit    *FlowLimit `json:"limit,omitempty"`
	InFlight int64      `json:"in_flight"`
	// FleetPart is the flow's.
	FleetPart float64 `json:"fleet_part,omitempty"`
}

// Ahead is requests that go before another one.
type Ahead struct {
	// Flow is empty for all flows of a higher band.
	Flow     string `json:"flow,omitempty"`
	Priority int    `json:"priority"`
	Requests int    `json:"requests"`
}
