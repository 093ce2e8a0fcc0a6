package coordinator

import "github.com/weirflow/weir/policies"

// Observations are what a replica saw of the pool's endpoints since it last told. They
// may be lost: readings are soon followed by newer ones, and a lost placement costs a
// cache hit.
type Observations struct {
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

// Broadcaster tells all other replicas what this one sees, and the other way round.
type Broadcaster interface {
	// Broadcast tells all replicas with a stream. It returns at once; a replica that
	// takes nothing at the moment is not told.
	Broadcast(Observations)
	// Listen says who hears of the others' observations from now on.
	Listen(Listener)
}

// Listener takes in what the others saw. Its methods return at once and may be called
// from any goroutine.
type Listener interface {
	// Observed hands over another replica's observations. Times in them are by this
	// replica's clock.
	Observed(Observations)
	// Live tells which replicas live, this one included.
	Live(ids []string)
}
