package saturation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirflow/weir/policies"
)

// ConcurrencyType is the type name of [Concurrency] and [TokenConcurrency].
const ConcurrencyType = "concurrency-detector"

// What a concurrency detector counts.
const (
	ModeRequests = "requests"
	ModeTokens   = "tokens"
	ModeHybrid   = "hybrid"
)

// ConcurrencyParameters are what the type takes.
type ConcurrencyParameters struct {
	// ConcurrencyMode is what is counted: requests, which is the default, tokens,
	// or for each endpoint whichever of the two is fuller (hybrid).
	ConcurrencyMode string `json:"concurrencyMode"`
	// MaxConcurrency is the number of requests one endpoint may have in
	// flight; 100. Higher fills its batch better and lengthens its own queue.
	MaxConcurrency int `json:"maxConcurrency"`
	// MaxTokenConcurrency is the number of tokens, of prompts and expected
	// answers, that one endpoint may have in flight; 1,000,000.
	MaxTokenConcurrency int64 `json:"maxTokenConcurrency"`
	// Headroom is the share above that may be used as well, so that an endpoint
	// finds its next request waiting; 0.2 is a fifth more.
	Headroom float64 `json:"headroom"`
	// FailOpen is accepted, and holds always: where all endpoints are full, none is left out.
	FailOpen *bool `json:"failOpen"`
	// InFlightLoadProducerName is accepted and has no effect: the ledger counts.
	InFlightLoadProducerName string `json:"inFlightLoadProducerName"`
}

// MostConcurrency is the highest MaxConcurrency.
const MostConcurrency = 1_000_000

func (p *ConcurrencyParameters) validate() error {
	switch {
	case p.ConcurrencyMode != ModeRequests && p.ConcurrencyMode != ModeTokens && p.ConcurrencyMode != ModeHybrid:
		return fmt.Errorf("%w: concurrencyMode is %q, it must be requests, tokens or hybrid", policies.ErrParameters, p.ConcurrencyMode)
	case p.MaxConcurrency < 1 || p.MaxConcurrency > MostConcurrency:
		return fmt.Errorf("%w: maxConcurrency is %d, it must be from 1 to %d", policies.ErrParameters, p.MaxConcurrency, MostConcurrency)
	case p.MaxTokenConcurrency < 1 || p.MaxTokenConcurrency > 1e12:
		return fmt.Errorf("%w: maxTokenConcurrency is %d, it must be from 1 to 1e12", policies.ErrParameters, p.MaxTokenConcurrency)
	case !(p.Headroom >= 0 && p.Headroom <= 10):
		return fmt.Errorf("%w: headroom is %v, it must be from 0 to 10", policies.ErrParameters, p.Headroom)
	}
	return nil
}

// ConcurrencyFactory is the factory of [ConcurrencyType].
func ConcurrencyFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	params := ConcurrencyParameters{ConcurrencyMode: ModeRequests, MaxConcurrency: 100, MaxTokenConcurrency: 1_000_000}
	if err := policies.DecodeParameters(parameters, &params); err != nil {
		return nil, err
	}
	if err := params.validate(); err != nil {
		return nil, err
	}
	if params.ConcurrencyMode == ModeRequests {
		return &Concurrency{policies.NewNamed(ConcurrencyType, name), params}, nil
	}
	return &TokenConcurrency{policies.NewNamed(ConcurrencyType, name), params}, nil
}

// Concurrency counts requests in flight against what the endpoints take: the
// pool is full at the sum of MaxConcurrency. It needs no metrics from the
// servers, and it gives the limit outright.
type Concurrency struct {
	policies.Named
	params ConcurrencyParameters
}

// NewConcurrency returns the detector of requests under the name, or
// ErrParameters. Unset parameters other than MaxConcurrency have their defaults.
func NewConcurrency(name string, params ConcurrencyParameters) (*Concurrency, error) {
	if params.ConcurrencyMode == "" {
		params.ConcurrencyMode = ModeRequests
	}
	if params.MaxTokenConcurrency == 0 {
		params.MaxTokenConcurrency = 1_000_000
	}
	if err := params.validate(); err != nil {
		return nil, err
	}
	return &Concurrency{policies.NewNamed(ConcurrencyType, name), params}, nil
}

// InFlightLimit implements [policies.InFlightLimiter].
func (d *Concurrency) InFlightLimit(endpoints []policies.EndpointAccessor) int {
	return len(endpoints) * d.EndpointLimit(nil)
}

// EndpointLimit implements [policies.EndpointLimiter]. It is the same for all.
func (d *Concurrency) EndpointLimit(policies.EndpointAccessor) int {
	return int(float64(d.params.MaxConcurrency) * (1 + d.params.Headroom))
}

// Saturation implements [policies.SaturationDetector].
func (d *Concurrency) Saturation(_ context.Context, _ time.Time, endpoints []policies.EndpointAccessor) float64 {
	limit := d.InFlightLimit(endpoints)
	if limit == 0 {
		return 1
	}
	inFlight := 0
	for _, e := range endpoints {
		inFlight += e.InFlight()
	}
	return float64(inFlight) / float64(limit)
}

// TokenConcurrency counts tokens in flight against what the endpoints take, or for
// each endpoint the fuller of tokens and requests. How many requests that is
// follows from how long they are at the moment.
type TokenConcurrency struct {
	policies.Named
	params ConcurrencyParameters
}

// CountsTokens implements [policies.TokenCounter].
func (d *TokenConcurrency) CountsTokens() bool { return true }

// Saturation implements [policies.SaturationDetector].
func (d *TokenConcurrency) Saturation(_ context.Context, _ time.Time, endpoints []policies.EndpointAccessor) float64 {
	if len(endpoints) == 0 {
		return 1
	}
	var sum float64
	for _, e := range endpoints {
		sum += d.full(e)
	}
	return sum / float64(len(endpoints)) / (1 + d.params.Headroom)
}

// full is how full an endpoint is, headroom aside.
func (d *TokenConcurrency) full(e policies.EndpointAccessor) float64 {
	full := float64(e.InFlightTokens()) / float64(d.params.MaxTokenConcurrency)
	if d.params.ConcurrencyMode == ModeHybrid {
		full = max(full, float64(e.InFlight())/float64(d.params.MaxConcurrency))
	}
	return full
}
