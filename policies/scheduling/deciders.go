package scheduling

import (
	"encoding/json"
	"fmt"

	"github.com/weirflow/weir/policies"
)

// Types of the deciders about stages.
const (
	PrefixDeciderType = "prefix-based-pd-decider"
	AlwaysPrefillType = "always-disagg-pd-decider"
	MediaDeciderType  = "always-disagg-multimodal-decider"
)

// PrefixDeciderParameters are what the type takes.
type PrefixDeciderParameters struct {
	// NonCachedTokens is how many tokens of a prompt the endpoint that answers must lack in its
	// cache for the prompt to be read elsewhere; 0, for never.
	NonCachedTokens int64 `json:"nonCachedTokens"`
	// PromptTokens is how long the prompt must be besides; 0 for any length.
	PromptTokens int64 `json:"promptTokens"`
	// PrefixMatchInfoProducerName names the approx-prefix-cache-producer.
	PrefixMatchInfoProducerName string `json:"prefixMatchInfoProducerName"`
}

// PrefixDecider has long prompts read elsewhere that the endpoint that answers has not cached.
type PrefixDecider struct {
	policies.Named
	params PrefixDeciderParameters
}

// PrefixDeciderFactory is the factory of [PrefixDeciderType].
func PrefixDeciderFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	var p PrefixDeciderParameters
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	switch {
	case p.NonCachedTokens < 0:
		return nil, fmt.Errorf("%w: nonCachedTokens is %d, it must not be negative", policies.ErrParameters, p.NonCachedTokens)
	case p.PromptTokens < 0:
		return nil, fmt.Errorf("%w: promptTokens is %d, it must not be negative", policies.ErrParameters, p.PromptTokens)
	}
	return &PrefixDecider{policies.NewNamed(PrefixDeciderType, name), p}, nil
}

// Needs implements [policies.StageDecider].
func (d *PrefixDecider) Needs(r policies.SchedulingRequest, at policies.EndpointAccessor) bool {
	tokens := r.PromptTokens()
	lacking := float64(tokens) * (1 - r.Cached(at.Address()))
	return d.params.NonCachedTokens > 0 && tokens >= d.params.PromptTokens && lacking >= float64(d.params.NonCachedTokens)
}

// Prefixes implements [policies.PrefixReader].
func (d *PrefixDecider) Prefixes() policies.PrefixIndexing { return defaultPrefixes() }

// PrefixProducer implements [policies.PrefixConsumer].
func (d *PrefixDecider) PrefixProducer() string { return d.params.PrefixMatchInfoProducerName }

// AlwaysPrefill has every prompt read elsewhere.
type AlwaysPrefill struct{ policies.Named }

// NewAlwaysPrefill returns the decider.
func NewAlwaysPrefill(name string) AlwaysPrefill {
	return AlwaysPrefill{policies.NewNamed(AlwaysPrefillType, name)}
}

// Needs implements [policies.StageDecider].
func (AlwaysPrefill) Needs(policies.SchedulingRequest, policies.EndpointAccessor) bool { return true }

// MediaDecider has what is no text in a prompt encoded elsewhere.
type MediaDecider struct{ policies.Named }

// NewMediaDecider returns the decider.
func NewMediaDecider(name string) MediaDecider {
	return MediaDecider{policies.NewNamed(MediaDeciderType, name)}
}

// Needs implements [policies.StageDecider].
func (MediaDecider) Needs(r policies.SchedulingRequest, _ policies.EndpointAccessor) bool {
	return r.Media()
}
