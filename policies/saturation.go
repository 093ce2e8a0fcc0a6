package policies

import (
	"context"
	"time"
)

// EndpointAccessor is a plug-in's view of one model server.
type EndpointAccessor interface {
	// Address is the endpoint's host and port.
	Address() string
	// InFlight is the number of requests the fleet has at the endpoint, those of
	// other replicas as the ledger last told.
	InFlight() int
	// InFlightTokens is what these requests are expected to cost, in tokens, those of
	// other replicas if a [TokenCounter] asks.
	InFlightTokens() int64
	// Metrics is the endpoint's last reading, zero if it was never read.
	Metrics() EndpointMetrics
}

// EndpointMetrics is one reading of a model server's own metrics.
type EndpointMetrics struct {
	// ReadAt is when the reading was taken; zero if never.
	ReadAt time.Time
	// Running and Waiting are the server's own counts of sequences.
	Running, Waiting int
	// KVCacheUsage is the share of the KV cache in use, from 0 to 1.
	KVCacheUsage float64
	// LoadedModels are the LoRA adapters that it runs requests of, WaitingModels those
	// that wait to be loaded, and MaxLoadedModels how many it can load at a time.
	LoadedModels, WaitingModels []string
	MaxLoadedModels             int
}

// SaturationDetector says how full the pool is.
type SaturationDetector interface {
	Plugin
	// Saturation returns 0 for an idle pool, 1 for a full one and more for an
	// overloaded one. No endpoints count as saturated. It is safe for
	// concurrent use.
	Saturation(ctx context.Context, now time.Time, endpoints []EndpointAccessor) float64
}

// StageDetector is a SaturationDetector that judges one stage otherwise than another.
type StageDetector interface {
	SaturationDetector
	// StageSaturation is Saturation of the endpoints that are there for a stage, where they are
	// not all there for each.
	StageSaturation(ctx context.Context, now time.Time, stage Stage, endpoints []EndpointAccessor) float64
}

// InFlightLimiter is a SaturationDetector that knows the limit on requests in
// flight outright. For other detectors the controller derives it from the
// saturation and the number in flight, which says nothing about an idle pool.
type InFlightLimiter interface {
	InFlightLimit(endpoints []EndpointAccessor) int
}

// EndpointLimiter is an InFlightLimiter whose limit is the sum of what its endpoints take.
// Each then has no more in flight, over the fleet, and a replica that reaches a part of them
// bounds itself only.
type EndpointLimiter interface {
	InFlightLimiter
	// EndpointLimit returns how many requests an endpoint takes in flight; at least 1.
	EndpointLimit(endpoint EndpointAccessor) int
}

// TokenCounter is a SaturationDetector, a filter or a scorer that may judge by tokens in
// flight; they are only counted over the fleet when one does.
type TokenCounter interface{ CountsTokens() bool }

// CountsTokens reports whether a plug-in judges by tokens in flight.
func CountsTokens(p any) bool {
	c, ok := p.(TokenCounter)
	return ok && c.CountsTokens()
}

// StaleCounter is a SaturationDetector that takes endpoints for full whose readings are
// too old, and can say how many they are.
type StaleCounter interface {
	Stale(now time.Time, endpoints []EndpointAccessor) int
}

// ReadingsReplacer is a SaturationDetector that goes by something else while the
// endpoints have never been read, and can say whether it does.
type ReadingsReplacer interface {
	WithoutReadings(endpoints []EndpointAccessor) bool
}

// MetricsReader is a plug-in that may need the endpoints' own metrics; they are only
// read when something needs them.
type MetricsReader interface{ ReadsMetrics() bool }

// ReadsMetrics reports whether a plug-in needs the endpoints' own metrics.
func ReadsMetrics(p Plugin) bool {
	r, ok := p.(MetricsReader)
	return ok && r.ReadsMetrics()
}

// UsageLimitPolicy says how full the pool may get for a band.
type UsageLimitPolicy interface {
	Plugin
	// Ceilings returns, for each of the priorities (highest first), the share
	// of the pool's limit that all requests in flight may reach before the
	// band stops dispatching: 1 is the whole limit, 0 closes the band. Where the answer is
	// too short, the bands that it lacks may use the whole limit. The time is
	// the ledger's, so that replicas which ask at the same time agree. It is safe
	// for concurrent use.
	Ceilings(ctx context.Context, now time.Time, saturation float64, priorities []int) []float64
}

// Follower is a UsageLimitPolicy whose ceilings may follow the saturation or the time:
// it is then asked at every turn. Others are asked when bands or endpoints change.
type Follower interface{ FollowsSaturation() bool }

// FollowsSaturation reports whether a policy is to be asked at every turn.
func FollowsSaturation(p UsageLimitPolicy) bool {
	f, ok := p.(Follower)
	return ok && f.FollowsSaturation()
}
