package api

import "time"

// Overrides is the answer of /v1/overrides: what operators set for a time.
type Overrides struct {
	Fleet Fleet `json:"fleet"`
	// MayAct is set where something can be set: where the admin address asks for a token.
	MayAct    bool       `json:"may_act"`
	Overrides []Override `json:"overrides"`
}

// Override is what is set of a flow at all its priorities, or of an endpoint, instead of
// what the configuration says.
type Override struct {
	// Flow is the flow's id, or Endpoint the endpoint's address.
	Flow     string `json:"flow,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	// What is absent is as configured. A limit of 0 is none.
	Weight          *float64 `json:"weight,omitempty"`
	MaxInFlight     *int64   `json:"max_in_flight,omitempty"`
	TokensPerMinute *float64 `json:"tokens_per_minute,omitempty"`
	// Drain says that nothing more is sent to the endpoint.
	Drain bool `json:"drain,omitempty"`
	// Why is what was said when it was set.
	Why   string    `json:"why,omitempty"`
	Set   time.Time `json:"set"`
	Until time.Time `json:"until"`
	// Replicas are those that go by it.
	Replicas []string `json:"replicas"`
}

// SetOverride is what POST /v1/overrides takes. It replaces what was set of the same flow or
// endpoint before.
type SetOverride struct {
	Flow string `json:"flow,omitempty"`
	// Endpoint is an endpoint's name, address or URL.
	Endpoint        string   `json:"endpoint,omitempty"`
	Weight          *float64 `json:"weight,omitempty"`
	MaxInFlight     *int64   `json:"max_in_flight,omitempty"`
	TokensPerMinute *float64 `json:"tokens_per_minute,omitempty"`
	Drain           bool     `json:"drain,omitempty"`
	Why             string   `json:"why,omitempty"`
	// For is how long it holds, such as 90s, 10m or 1h30m; a week at most.
	For string `json:"for"`
}

// Evicted is the answer of DELETE /v1/requests/{id}.
type Evicted struct {
	Fleet Fleet `json:"fleet"`
	// Requests were ended.
	Requests []Request `json:"requests"`
}
