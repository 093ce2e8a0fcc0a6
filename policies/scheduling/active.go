package scheduling

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/weirflow/weir/policies"
)

// Types of the scorers by what the fleet has in flight.
const (
	ActiveRequestType = "active-request-scorer"
	TokenLoadType     = "token-load-scorer"
	NoHitLRUType      = "no-hit-lru-scorer"
)

// ActiveRequestParameters are what the type takes.
type ActiveRequestParameters struct {
	// IdleThreshold is how many requests in flight an idle endpoint may have; 0.
	IdleThreshold int `json:"idleThreshold"`
	// MaxBusyScore is the highest score of one that is not idle; 1.
	MaxBusyScore float64 `json:"maxBusyScore"`
	// RequestTimeout and InFlightLoadProducerName are accepted; the load is always known.
	RequestTimeout           string `json:"requestTimeout"`
	InFlightLoadProducerName string `json:"inFlightLoadProducerName"`
}

// ActiveRequest prefers idle endpoints, then those with fewer requests of the fleet in
// flight.
type ActiveRequest struct {
	policies.Named
	params ActiveRequestParameters
}

// ActiveRequestFactory is the factory of [ActiveRequestType].
func ActiveRequestFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p := ActiveRequestParameters{MaxBusyScore: 1}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	switch {
	case p.IdleThreshold < 0:
		return nil, fmt.Errorf("%w: idleThreshold is %d, it must not be negative", policies.ErrParameters, p.IdleThreshold)
	case !(p.MaxBusyScore >= 0 && p.MaxBusyScore <= 1):
		return nil, fmt.Errorf("%w: maxBusyScore is %v, it must be from 0 to 1", policies.ErrParameters, p.MaxBusyScore)
	}
	return &ActiveRequest{policies.NewNamed(ActiveRequestType, name), p}, nil
}

// Score implements [policies.EndpointScorer]: 1 for idle endpoints, and for others from the
// highest score at none to 0 at the most requests in flight.
func (s *ActiveRequest) Score(_ policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	most := 0
	for _, e := range endpoints {
		most = max(most, e.InFlight())
	}
	for i, e := range endpoints {
		if n := e.InFlight(); n > s.params.IdleThreshold {
			scores[i] = float64(most-n) / float64(most) * s.params.MaxBusyScore
		} else {
			scores[i] = 1
		}
	}
}

// TokenLoadParameters are what the type takes.
type TokenLoadParameters struct {
	// QueueThresholdTokens is how many tokens in flight give the lowest score; 4194304.
	QueueThresholdTokens int64 `json:"queueThresholdTokens"`
	// InFlightLoadProducerName is accepted; the load is always known.
	InFlightLoadProducerName string `json:"inFlightLoadProducerName"`
}

// TokenLoad prefers endpoints whose requests in flight are expected to cost fewer tokens.
type TokenLoad struct {
	policies.Named
	threshold float64
}

// TokenLoadFactory is the factory of [TokenLoadType].
func TokenLoadFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p := TokenLoadParameters{QueueThresholdTokens: 4 << 20}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	if p.QueueThresholdTokens < 1 {
		return nil, fmt.Errorf("%w: queueThresholdTokens is %d, it must be at least 1", policies.ErrParameters, p.QueueThresholdTokens)
	}
	return &TokenLoad{policies.NewNamed(TokenLoadType, name), float64(p.QueueThresholdTokens)}, nil
}

// Score implements [policies.EndpointScorer]: 1 for none in flight, down to 0 at the
// threshold.
func (s *TokenLoad) Score(_ policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	for i, e := range endpoints {
		scores[i] = max(0, 1-float64(e.InFlightTokens())/s.threshold)
	}
}

// CountsTokens implements [policies.TokenCounter].
func (s *TokenLoad) CountsTokens() bool { return true }

// NoHitLRUParameters are what the type takes.
type NoHitLRUParameters struct {
	// LRUSize is how many endpoints are remembered; 1024.
	LRUSize int `json:"lruSize"`
	// PrefixMatchInfoProducerName names the approx-prefix-cache-producer.
	PrefixMatchInfoProducerName string `json:"prefixMatchInfoProducerName"`
	// PrefixPluginType and PrefixPluginName are accepted and have no effect.
	PrefixPluginType string `json:"prefixPluginType"`
	PrefixPluginName string `json:"prefixPluginName"`
}

// NoHitLRU spreads prompts of which no endpoint has anything cached: it prefers endpoints
// to which this replica sent none of them for longest, so that caches fill evenly.
type NoHitLRU struct {
	policies.Named
	params NoHitLRUParameters

	mu   sync.Mutex
	turn uint64
	last map[string]uint64 // the turn of each endpoint's last one, by address
}

// NoHitLRUFactory is the factory of [NoHitLRUType].
func NoHitLRUFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p := NoHitLRUParameters{LRUSize: 1024}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	if p.LRUSize < 1 || p.LRUSize > 1<<20 {
		return nil, fmt.Errorf("%w: lruSize is %d, it must be from 1 to %d", policies.ErrParameters, p.LRUSize, 1<<20)
	}
	return &NoHitLRU{Named: policies.NewNamed(NoHitLRUType, name), params: p, last: make(map[string]uint64)}, nil
}

// Prefixes implements [policies.PrefixReader].
func (s *NoHitLRU) Prefixes() policies.PrefixIndexing { return defaultPrefixes() }

// PrefixProducer implements [policies.PrefixConsumer].
func (s *NoHitLRU) PrefixProducer() string { return s.params.PrefixMatchInfoProducerName }

// Score implements [policies.EndpointScorer]: 0.5 for all where one has a part of the prompt
// cached; or else from 1 for the one that waited longest down to 0.
func (s *NoHitLRU) Score(r policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	cold := isCold(r, endpoints)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range endpoints {
		if !cold {
			scores[i] = 0.5
			continue
		}
		before := 0 // how many waited longer
		for k, other := range endpoints {
			mine, theirs := s.last[e.Address()], s.last[other.Address()]
			if theirs < mine || theirs == mine && k < i {
				before++
			}
		}
		scores[i] = 1 - float64(before)/float64(max(1, len(endpoints)-1))
	}
}

// Picked implements [policies.PickObserver].
func (s *NoHitLRU) Picked(r policies.SchedulingRequest, endpoints []policies.EndpointAccessor, i int) {
	if !isCold(r, endpoints) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	s.last[endpoints[i].Address()] = s.turn
	if len(s.last) <= s.params.LRUSize {
		return
	}
	oldest, at := "", s.turn+1
	for address, turn := range s.last {
		if turn < at {
			oldest, at = address, turn
		}
	}
	delete(s.last, oldest)
}

// isCold reports whether no endpoint has anything of the prompt cached.
func isCold(r policies.SchedulingRequest, endpoints []policies.EndpointAccessor) bool {
	for _, e := range endpoints {
		if r.Cached(e.Address()) > 0 {
			return false
		}
	}
	return true
}
