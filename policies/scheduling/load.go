package scheduling

import (
	"encoding/json"
	"fmt"

	"github.com/weirflow/weir/policies"
)

// Types of the scorers by load.
const (
	QueueType           = "queue-scorer"
	KVCacheType         = "kv-cache-utilization-scorer"
	KVCacheOlderType    = "kv-cache-scorer" // an older name
	RunningRequestsType = "running-requests-size-scorer"
	LoadAwareType       = "load-aware-scorer"
)

// Load prefers endpoints with less of something.
type Load struct {
	policies.Named
	of    func(policies.EndpointAccessor) float64
	reads bool
}

// NewQueue returns the scorer by the requests that wait in the endpoint's own queue,
// by its last reading.
func NewQueue(name string) *Load {
	return &Load{policies.NewNamed(QueueType, name), func(e policies.EndpointAccessor) float64 { return float64(e.Metrics().Waiting) }, true}
}

// NewRunningRequests returns the scorer by the requests that the fleet has in flight
// at the endpoint. They are counted and not taken from the endpoint's metrics, so that
// a request that was just sent there counts at once.
func NewRunningRequests(name string) *Load {
	return &Load{policies.NewNamed(RunningRequestsType, name), func(e policies.EndpointAccessor) float64 { return float64(e.InFlight()) }, false}
}

// Score implements [policies.EndpointScorer]: 1 for the least of them, 0 for the most, and
// the others in proportion.
func (s *Load) Score(_ policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	least, most := s.of(endpoints[0]), s.of(endpoints[0])
	for i, e := range endpoints {
		scores[i] = s.of(e)
		least, most = min(least, scores[i]), max(most, scores[i])
	}
	for i := range scores {
		if most == least {
			scores[i] = 1
			continue
		}
		scores[i] = (most - scores[i]) / (most - least)
	}
}

// ReadsMetrics implements [policies.MetricsReader].
func (s *Load) ReadsMetrics() bool { return s.reads }

// KVCache prefers endpoints with more room in their KV caches.
type KVCache struct{ policies.Named }

// NewKVCache returns the scorer.
func NewKVCache(name string) *KVCache { return &KVCache{policies.NewNamed(KVCacheType, name)} }

// Score implements [policies.EndpointScorer]: the share of the cache that is free.
func (s *KVCache) Score(_ policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	for i, e := range endpoints {
		scores[i] = max(0, 1-e.Metrics().KVCacheUsage)
	}
}

// ReadsMetrics implements [policies.MetricsReader].
func (s *KVCache) ReadsMetrics() bool { return true }

// LoadAwareParameters are what the type takes.
type LoadAwareParameters struct {
	// Threshold is the length of queue at which an endpoint gets the lowest score; 128.
	Threshold int `json:"threshold"`
}

// LoadAware prefers endpoints with fewer requests in their own queues, as [NewQueue]'s
// scorer does, but by a scale that does not depend on the other endpoints.
type LoadAware struct {
	policies.Named
	threshold float64
}

// LoadAwareFactory is the factory of [LoadAwareType].
func LoadAwareFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p := LoadAwareParameters{Threshold: 128}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	if p.Threshold < 1 {
		return nil, fmt.Errorf("%w: threshold is %d, it must be at least 1", policies.ErrParameters, p.Threshold)
	}
	return &LoadAware{policies.NewNamed(LoadAwareType, name), float64(p.Threshold)}, nil
}

// Score implements [policies.EndpointScorer]: 0.5 for an empty queue, down to 0 for one
// of the threshold's length.
func (s *LoadAware) Score(_ policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	for i, e := range endpoints {
		scores[i] = 0.5 * max(0, 1-float64(e.Metrics().Waiting)/s.threshold)
	}
}

// ReadsMetrics implements [policies.MetricsReader].
func (s *LoadAware) ReadsMetrics() bool { return true }
