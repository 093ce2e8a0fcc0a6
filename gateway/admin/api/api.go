// Package api is what the admin address answers, as Go types, and a client of it. The
// OpenAPI document beside it, openapi.json, says the same; the replica serves it at
// /v1/openapi.json.
//
// Answers are of the whole fleet, at whichever replica they are asked for; those of one
// replica alone come with [Query.Replica]. Times are in RFC 3339, durations in
// milliseconds.
package api

import "time"

// Fleet says whose answer it is.
type Fleet struct {
	// Replica is the one that was asked, Answered those that the answer is of, by id.
	Replica  string   `json:"replica"`
	Answered []string `json:"answered"`
	// Missing are live replicas that did not answer in time: what they know is not in the
	// answer.
	Missing []Missing `json:"missing"`
}

// Missing is a replica that did not answer.
type Missing struct {
	Replica string `json:"replica"`
	Why     string `json:"why"`
}

// Page is a part of a list.
type Page struct {
	// Total is how many there are in the whole list, from which Offset were left out at the
	// begin. Next is the offset of the next page; absent on the last one.
	Total  int  `json:"total"`
	Offset int  `json:"offset"`
	Next   *int `json:"next,omitempty"`
}

// Pools answers /v1/pools.
type Pools struct {
	Replica string `json:"replica"`
	// Pools are by their names.
	Pools []PoolSummary `json:"pools"`
	// LeftOut are InferencePools that were found and cannot be pools.
	LeftOut []LeftOut `json:"left_out,omitempty"`
}

// LeftOut is an InferencePool, by its namespace and name, that cannot be a pool.
type LeftOut struct {
	InferencePool string `json:"inference_pool"`
	Why           string `json:"why"`
}

// PoolSummary is what a replica knows of a pool by itself.
type PoolSummary struct {
	Name string `json:"name"`
	// Limit is how many requests may be in flight; null for no limit.
	Limit    *int64 `json:"limit"`
	InFlight int64  `json:"in_flight"`
	// Queued is what came in by this replica and waits.
	Queued      int64   `json:"queued"`
	Saturation  float64 `json:"saturation"`
	Endpoints   int     `json:"endpoints"`
	LedgerState string  `json:"ledger_state"`
}

// Pool is the answer of /v1/pool.
type Pool struct {
	Fleet Fleet  `json:"fleet"`
	Pool  string `json:"pool"`
	// Replica is the one that was asked.
	Replica string `json:"replica"`
	// Shadow says that a replica holds and refuses nothing: the figures are of flow control as
	// it is played there beside what runs.
	Shadow bool `json:"shadow"`
	// Limit is how many requests the pool takes in flight; null for no limit.
	Limit *int64 `json:"limit"`
	// InFlight and Queued are over the fleet: what the ledger counts, and what waits.
	InFlight   int64   `json:"in_flight"`
	Queued     int64   `json:"queued"`
	Saturation float64 `json:"saturation"`
	// Stages is how full the endpoints are that read prompts (prefill) or make answers
	// (decode), 1 being full; absent where all do both.
	Stages map[string]float64 `json:"stages,omitempty"`
	// Endpoints can be used; EndpointsEjected cannot at the moment, and EndpointsDrained are
	// sent nothing more, as an operator said.
	Endpoints        int    `json:"endpoints"`
	EndpointsEjected int    `json:"endpoints_ejected"`
	EndpointsDrained int    `json:"endpoints_drained"`
	Ledger           Ledger `json:"ledger"`
	Bands            []Band `json:"bands"`
	// Recent is of late, over all priorities.
	Recent Recent `json:"recent"`
	// Refusals are requests of late that the gateway ended itself, in flow control and
	// outside of it, by the code of its answer, the most first. NotServed is how many in all
	// were not served: those, and clients that went away before.
	Refusals  []Refusal `json:"refusals"`
	NotServed float64   `json:"not_served_per_second"`
}

// Refusal is how many requests the gateway ended itself for one reason.
type Refusal struct {
	Code      string  `json:"code"`
	PerSecond float64 `json:"per_second"`
}

// Ledger is how the replicas stand with the ledger.
type Ledger struct {
	// State is registering, connected, slow, outage or superseded: the worst of all
	// replicas.
	State      string `json:"state"`
	Generation uint64 `json:"generation"`
	// Members hold a lease.
	Members int `json:"members"`
	// TurnMS is how long an exchange with it takes on average, at the slowest replica.
	TurnMS float64 `json:"turn_ms"`
}

// Band is one priority.
type Band struct {
	Priority int `json:"priority"`
	// Policy is the fairness policy as replicas compare it, and Fairness the same for people.
	Policy   string `json:"policy"`
	Fairness string `json:"fairness"`
	// Limit is how many requests may be in flight in the fleet for the band to go on; null for
	// no limit.
	Limit    *int64 `json:"limit"`
	InFlight int64  `json:"in_flight"`
	Queued   int64  `json:"queued"`
	Flows    int    `json:"flows"`
	// OldestMS is how long the longest wait is so far.
	OldestMS int64  `json:"oldest_ms"`
	Recent   Recent `json:"recent"`
}

// Recent are figures of the last half to one minute.
type Recent struct {
	// SpanMS is how much time they are of.
	SpanMS int64 `json:"span_ms"`
	// Dispatched is how many requests went to the pool, Refused how many were turned away
	// at once and Evicted how many ended their wait in another way, a second.
	Dispatched float64 `json:"dispatched_per_second"`
	Refused    float64 `json:"refused_per_second"`
	Evicted    float64 `json:"evicted_per_second"`
	// The waits of those dispatched; 0 if there are none.
	WaitP50MS float64 `json:"wait_p50_ms"`
	WaitP99MS float64 `json:"wait_p99_ms"`
}

// Shares is the answer of /v1/shares: the priorities and the groups that are guaranteed a part
// of the pool, and the groups that share a priority.
type Shares struct {
	Fleet      Fleet            `json:"fleet"`
	Shares     []Share          `json:"shares"`
	Guaranteed []GroupGuarantee `json:"guaranteed_groups"`
	Groups     []GroupShare     `json:"groups"`
}

// GroupShare is what a group of flows has of a priority, over the fleet: one that had
// requests of late.
type GroupShare struct {
	// Group is its path: the names of the groups that it is in, the outermost first, and its
	// own. That of * is shared by all flows that are in no other group there.
	Group    string  `json:"group"`
	Priority int     `json:"priority"`
	Weight   float64 `json:"weight"`
	InFlight int64   `json:"in_flight"`
	Queued   int64   `json:"queued"`
	Flows    int     `json:"flows"`
	// InFlightOfAll is how many requests it has in flight over all priorities, with the groups
	// in it, and Maximum how many of these it may have; null for no maximum. AtMaximum is set
	// while it has all of them.
	InFlightOfAll int64  `json:"in_flight_of_all"`
	Maximum       *int64 `json:"maximum"`
	AtMaximum     bool   `json:"at_maximum"`
	// Share is its part of what the priority dispatched of late, and Entitled what it should
	// have: what is left by flows that want less than their share, by the weights.
	Share    float64 `json:"share"`
	Entitled float64 `json:"entitled"`
}

// Share is what a priority is guaranteed, and what it had, over the fleet.
type Share struct {
	Priority int `json:"priority"`
	Account
}

// GroupGuarantee is what a group is guaranteed over all priorities, and what it had, over the
// fleet.
type GroupGuarantee struct {
	Group string `json:"group"`
	Account
}

// Account is what is guaranteed, and what was had of it.
type Account struct {
	// Guaranteed is how many slots of the pool it is guaranteed while it waits.
	Guaranteed float64 `json:"guaranteed_slots"`
	InFlight   int64   `json:"in_flight"`
	Queued     int64   `json:"queued"`
	// Owed is what it should have had of that and did not, in slots times seconds; below 0
	// what it had too early.
	Owed float64 `json:"owed_slot_seconds"`
	// Had is what it had in the last 1, 5 and 60 minutes, as far as the replica that was
	// asked has watched.
	Had []Had `json:"had"`
}

// Had is what a priority or a group had of the pool in a time.
type Had struct {
	// Minutes is the time that was meant, and SpanMS the one that it is of.
	Minutes int   `json:"minutes"`
	SpanMS  int64 `json:"span_ms"`
	// Slots is how many it had on average, and BelowMS for how long it waited while it was
	// owed more than ten seconds of its guarantee.
	Slots   float64 `json:"slots"`
	BelowMS int64   `json:"below_ms"`
}

// Flows is the answer of /v1/flows.
type Flows struct {
	Fleet Fleet `json:"fleet"`
	// Shadow says that a replica holds and refuses nothing: see Pool.
	Shadow bool `json:"shadow"`
	Page
	Flows []Flow `json:"flows"`
}

// Flow is the traffic of one tenant at one priority.
type Flow struct {
	ID       string  `json:"id"`
	Priority int     `json:"priority"`
	Weight   float64 `json:"weight"`
	// Group is the path of the group that it is in; empty where there are none.
	Group    string `json:"group,omitempty"`
	Queued   int64  `json:"queued"`
	InFlight int64  `json:"in_flight"`
	// OldestMS is how long the one that goes next has waited.
	OldestMS       int64 `json:"oldest_ms"`
	ServedRequests int64 `json:"served_requests"`
	ServedTokens   int64 `json:"served_tokens"`
	// TokensIn, TokensCached and TokensOut are what model servers counted of them: prompts,
	// the part of them that was in a cache, and answers. /v1/usage has them over time.
	TokensIn     int64 `json:"tokens_in"`
	TokensCached int64 `json:"tokens_cached"`
	TokensOut    int64 `json:"tokens_out"`
	// Counter is its service as the ledger counts it, in the unit of the band's policy.
	Counter float64 `json:"counter"`
	// Share is its part of what its band dispatched of late, and Entitled what it should
	// have: what is left by flows that want less than their share, by weight.
	Share    float64 `json:"share"`
	Entitled float64 `json:"entitled"`
	// AtLimit is set while what waits has no room under a limit of its own.
	AtLimit bool `json:"at_limit"`
	// AtMaximum is the path of the group that the flow is in which is at its maximum.
	AtMaximum string     `json:"at_maximum,omitempty"`
	Limit     *FlowLimit `json:"limit,omitempty"`
	Owner     string     `json:"owner"`
	Recent    Recent     `json:"recent"`
}

// FlowLimit is a limit of a flow's own.
type FlowLimit struct {
	MaxInFlight     int64   `json:"max_in_flight,omitempty"`
	TokensPerMinute float64 `json:"tokens_per_minute,omitempty"`
	// Rejects says that what is over the limit is refused; otherwise it waits.
	Rejects bool `json:"rejects"`
}

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
}

// Ahead is requests that go before another one.
type Ahead struct {
	// Flow is empty for all flows of a higher band.
	Flow     string `json:"flow,omitempty"`
	Priority int    `json:"priority"`
	Requests int    `json:"requests"`
}

// Endpoints is the answer of /v1/endpoints.
type Endpoints struct {
	Fleet Fleet `json:"fleet"`
	Page
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is a model server.
type Endpoint struct {
	Name   string            `json:"name"`
	URL    string            `json:"url"`
	Labels map[string]string `json:"labels,omitempty"`
	// Healthy is set if all replicas can reach it; EjectedBy are those that cannot.
	Healthy   bool     `json:"healthy"`
	EjectedBy []string `json:"ejected_by,omitempty"`
	// Drained says that an operator has nothing more sent there.
	Drained bool `json:"drained,omitempty"`
	// InFlight is the fleet's, by whichever replica it went; InFlightHere that of the
	// replica that was asked.
	InFlight     int `json:"in_flight"`
	InFlightHere int `json:"in_flight_here"`
	// Running, Waiting and KVCacheUsage are the endpoint's own figures, read the following
	// number of milliseconds ago; absent if they are not read.
	Running      *int     `json:"running,omitempty"`
	Waiting      *int     `json:"waiting,omitempty"`
	KVCacheUsage *float64 `json:"kv_cache_usage,omitempty"`
	AgeMS        *int64   `json:"age_ms,omitempty"`
}

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

// Events is the answer of /v1/events, the latest first.
type Events struct {
	Fleet Fleet `json:"fleet"`
	Page
	Events []Event `json:"events"`
}

// UsageList is the answer of /v1/usage: what flows used, by the hour.
type UsageList struct {
	Fleet Fleet `json:"fleet"`
	// From and To are when the first hour that it is of begins, and the last one ends.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Page
	// Usage is by flow or group, by hour or by both; Sum is of the whole list.
	Usage []Usage `json:"usage"`
	Sum   Usage   `json:"sum"`
}

// Usage is what was used.
type Usage struct {
	// Flow is whose it is, Group the path of the group that it is in as the configuration is
	// now, and Hour when the hour began; absent where it is of all.
	Flow  string     `json:"flow,omitempty"`
	Group string     `json:"group,omitempty"`
	Hour  *time.Time `json:"hour,omitempty"`
	// Requests are those that went to the pool and have ended.
	Requests int64 `json:"requests"`
	// TokensIn, TokensCached and TokensOut are what model servers counted: prompts, the part
	// of them that was in a cache, and answers.
	TokensIn     int64 `json:"tokens_in"`
	TokensCached int64 `json:"tokens_cached"`
	TokensOut    int64 `json:"tokens_out"`
	// Charged is the tokens that were charged in the end: cached ones count for less, and
	// what no server counted by its size and its time.
	Charged int64 `json:"charged_tokens"`
	// SlotSeconds is for how long requests held slots of the pool.
	SlotSeconds float64 `json:"slot_seconds"`
}

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

// Index is the answer of /v1/.
type Index struct {
	Version string `json:"version"`
	Replica string `json:"replica"`
	// Paths are those that there are, and what they answer.
	Paths []IndexPath `json:"paths"`
}

// IndexPath is one path of the API.
type IndexPath struct {
	Method  string `json:"method"`
	Path    string `json:"path"`
	Summary string `json:"summary"`
}

// Error is every answer that is none of the others.
type Error struct {
	// Message says what is wrong and what would be right.
	Message string `json:"error"`
}
