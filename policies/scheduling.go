package policies

// SchedulingRequest is a scorer's view of a request that may go to an endpoint.
type SchedulingRequest interface {
	// Model is the model or LoRA adapter that it asks for.
	Model() string
	// Cached is how much of its prompt the endpoint of that address is believed to
	// have in its prefix cache, from 0 to 1. It is known if a scorer of the profile is
	// a [PrefixReader].
	Cached(address string) float64
	// Session is what the answer to an earlier request told its client to give, to go where
	// that went; empty for none. See [SessionKeeper].
	Session() string
	// PromptTokens is how long its prompt is taken to be, and Media whether there is anything
	// but text in it, such as an image.
	PromptTokens() int64
	Media() bool
}

// SessionKeeper is a scorer that has clients come back to an endpoint.
type SessionKeeper interface {
	// SessionOf is what a client is told to give that the endpoint of that address answered.
	SessionOf(address string) string
}

// EndpointScorer says how well endpoints suit a request. A scheduling profile adds up what
// its scorers say, each by its weight.
type EndpointScorer interface {
	Plugin
	// Score sets scores[i] to how well endpoints[i] suits the request, from 0 to 1. It
	// is safe for concurrent use.
	Score(request SchedulingRequest, endpoints []EndpointAccessor, scores []float64)
}

// AffinityKnower is a filter or scorer that may tell endpoints apart by what they have for a
// request, such as its prompt in a cache, and not only by how busy they are. Where it does,
// the ledger is asked for the endpoint that suits the request best.
type AffinityKnower interface{ KnowsAffinity() bool }

// KnowsAffinity reports whether a plug-in goes by what endpoints have for a request.
func KnowsAffinity(p Plugin) bool {
	k, ok := p.(AffinityKnower)
	return ok && k.KnowsAffinity()
}

// EndpointFilter says which endpoints a request may go to. A profile's filters are asked
// one after the other, each about what the one before it kept, and before its scorers.
type EndpointFilter interface {
	Plugin
	// Keep sets keep[i] to whether the request may go to endpoints[i]. Where nothing is
	// kept the request has no endpoint. It is safe for concurrent use.
	Keep(request SchedulingRequest, endpoints []EndpointAccessor, keep []bool)
}

// Labelled is an endpoint with labels, as those are that filters and scorers get.
type Labelled interface{ Labels() map[string]string }

// PickObserver is a scorer that learns what was picked.
type PickObserver interface {
	// Picked is told that the request goes to endpoints[i], of those that were scored.
	// It is safe for concurrent use.
	Picked(request SchedulingRequest, endpoints []EndpointAccessor, i int)
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

// PrefixReader is a scorer or a filter that needs to know which prompts went where, and says
// how they are remembered where nothing else does.
type PrefixReader interface {
	Prefixes() PrefixIndexing
}

// PrefixConsumer is a PrefixReader that may name what says how prompts are remembered.
type PrefixConsumer interface {
	// PrefixProducer is the name of that plug-in; empty for any.
	PrefixProducer() string
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

// StageDecider says whether something of a request is to be done at endpoints of its own, before
// the endpoint that answers it: that its prompt is read, or what is no text in it encoded.
type StageDecider interface {
	Plugin
	// Needs reports whether it is, for a request that the endpoint at will answer. It is safe
	// for concurrent use.
	Needs(request SchedulingRequest, at EndpointAccessor) bool
}
