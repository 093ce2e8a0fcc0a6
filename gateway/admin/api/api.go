// Package api is what the admin address answers, as Go types, and a client of it. The
// OpenAPI document beside it, openapi.json, says the same; the replica serves it at
// /v1/openapi.json.
//
// Answers are of the whole fleet, at whichever replica they are asked for; those of one
// replica alone come with [Query.Replica]. Times are in RFC 3339, durations in
// milliseconds.
package api

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
	// LeftOut are InferencePools that were found and cannot be pools as they are now.
	LeftOut []LeftOut `json:"left_out,omitempty"`
}

// LeftOut is an InferencePool, by its namespace and name, that cannot be a pool as it is now.
type LeftOut struct {
	InferencePool string `json:"inference_pool"`
	Why           string `json:"why"`
	// Kept says that there is a pool of it, which stays as it was before a change.
	Kept bool `json:"kept,omitempty"`
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
	// Weight is what it gets of the pool beside the others that wait, where priorities share
	// by weights; 0 where a higher one goes first.
	Weight float64 `json:"weight"`
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

// Shares is the answer of /v1/shares: what every priority and every group has of the pool.
type Shares struct {
	Fleet Fleet `json:"fleet"`
	// Shares are all priorities that are listed or had requests, the highest first.
	Shares []Share `json:"shares"`
	// OverPriorities are all groups that are listed or had requests, each over all priorities, and
	// Groups what each has of a priority.
	OverPriorities []GroupAccount `json:"groups_over_priorities"`
	Groups         []GroupShare   `json:"groups"`
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

// Share is what a priority should have of the pool, and what it had, over the fleet.
type Share struct {
	Priority int `json:"priority"`
	// Weight is what it gets beside the others that wait, where priorities share by weights; 0
	// where a higher one goes first.
	Weight float64 `json:"weight"`
	Account
}

// GroupAccount is what a group should have of the pool over all priorities, with the groups in it,
// and what it had, over the fleet.
type GroupAccount struct {
	Group string `json:"group"`
	Account
}

// Account is what a priority or a group should have of the pool, and what it had.
type Account struct {
	// Entitled is how many slots it should have now, of those that it wants, which is what it has
	// in flight and what waits in it. A priority should have its guarantee, and of the rest what
	// higher ones leave, or what is its by weight; a group its guarantee, or if that is more, what
	// is its by weight of what its priorities should have. These do not count guarantees of groups.
	Entitled float64 `json:"entitled_slots"`
	// Guaranteed is how many slots of the pool it is guaranteed while it waits; 0 for none.
	Guaranteed float64 `json:"guaranteed_slots"`
	InFlight   int64   `json:"in_flight"`
	Queued     int64   `json:"queued"`
	// Owed is what it should have had of its guarantee and did not, in slots times seconds; below
	// 0 what it had too early.
	Owed float64 `json:"owed_slot_seconds"`
	// Had is what it had in the last 1, 5 and 60 minutes, until five seconds ago at most, as the
	// replica that has watched for longest counted it: the same whichever is asked.
	Had []Had `json:"had"`
}

// Had is what a priority or a group had of the pool in a time.
type Had struct {
	// Minutes is the time that was meant, and SpanMS the one that it is of, as far as there is
	// a replica that watched.
	Minutes int   `json:"minutes"`
	SpanMS  int64 `json:"span_ms"`
	// Slots is how many its requests held on average, as replicas count them, and BelowMS for how
	// long it waited while it was owed more than ten seconds of its guarantee; 0 for one without.
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
	// FleetPart is the part of its weight and of those of its groups that counts in this pool,
	// where they have one share over all pools: Weight is that part. It is left out where all of
	// it does.
	FleetPart float64 `json:"fleet_part,omitempty"`
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
