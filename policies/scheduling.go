package policies

// SchedulingRequest is a scorer's view of a request that may go to an endpoint.
type SchedulingRequest interface {
	// Model is the model or LoRA adapter that it asks for.
	Model() string
	// Cached is how much of its prompt the endpoint of that address is believed to
	// have in its prefix cache, from 0 to 1. It is known if a scorer of the profile is
	// a [PrefixReader].
	Cached(address string) float64
}

// EndpointScorer says how well endpoints suit a request. A scheduling profile adds up what
// its scorers say, each by its weight.
type EndpointScorer interface {
	Plugin
	// Score sets scores[i] to how well endpoints[i] suits the request, from 0 to 1. It
	// is safe for concurrent use.
	Score(request SchedulingRequest, endpoints []EndpointAccessor, scores []float64)
}

// EndpointPicker chooses an endpoint by the scores.
type EndpointPicker interface {
	Plugin
	// Pick returns the index of a score that is not negative; there is one. Of equal
	// endpoints the first is the least loaded. Draw returns random numbers in [0, 1).
	// It is safe for concurrent use.
	Pick(scores []float64, draw func() float64) int
	// Endpoints is how many endpoints are picked, one after the other: those after
	// the first are for when that cannot be reached.
	Endpoints() int
}

// PrefixReader is a scorer that needs to know which prompts went where.
type PrefixReader interface {
	Prefixes() PrefixIndexing
}

// PrefixIndexing says how prompts are remembered.
type PrefixIndexing struct {
	// BlockSize is the length of the pieces that prompts are cut into, in bytes.
	BlockSize int
	// MaxBlocks is how many pieces of a prompt are looked at; the rest is not.
	MaxBlocks int
	// PerEndpoint is how many pieces an endpoint's cache is taken to hold.
	PerEndpoint int
}
