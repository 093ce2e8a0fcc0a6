package policies

import "time"

// EvictionFilter says which requests in flight may be revoked for the sake of a
// higher band that waits at a full pool.
type EvictionFilter interface {
	Plugin
	Evictable(flow FlowKey) bool
}

// EvictionOrder says which of a priority's requests in flight is revoked first. It
// is asked once, when the request is dispatched.
type EvictionOrder interface {
	Plugin
	// Score is a request's place among those of its priority, lowest first; the
	// lower priority's go before. It must be finite.
	Score(flow FlowKey, dispatched time.Time) float64
}
