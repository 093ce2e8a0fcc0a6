package coordinator

import "github.com/weirflow/weir/policies"

// Observations are what a replica has seen of the pool's endpoints since it last reported.
// They may be lost: readings are soon followed by newer ones, and a lost placement costs a
// cache hit.
type Observations struct {
	// Pool is as in a Message.
	Pool       string
	Readings   []Reading
	Placements []Placement
}

// Reading is one reading of an endpoint's metrics.
type Reading struct {
	// Endpoint is its address.
	Endpoint string
	policies.EndpointMetrics
}

// Placement says that prompts with these prefixes went to an endpoint.
type Placement struct {
	Endpoint string
	// Prefixes are hashes of their beginnings.
	Prefixes []uint64
}

// Broadcaster exchanges observations with all other replicas.
type Broadcaster interface {
	// Broadcast sends to all replicas with a stream. It returns at once; a replica that
	// cannot take any at the moment gets none.
	Broadcast(Observations)
	// Listen sets the listener for the others' observations.
	Listen(Listener)
}

// Listener receives the others' observations. Its methods return at once and may be called
// from any goroutine.
type Listener interface {
	// Observed hands over another replica's observations. Times in them are by this
	// replica's clock.
	Observed(Observations)
	// Live says which replicas live, this one included.
	Live(ids []string)
}
