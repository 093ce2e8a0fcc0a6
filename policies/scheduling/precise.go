package scheduling

import (
	"encoding/json"
	"fmt"

	"github.com/weirflow/weir/policies"
)

// Types of the plug-ins that, in today's pickers, learn from events of the model servers which
// prompts are cached. No such events are read here: these judge by where earlier prompts went, as
// [ApproxPrefix] and [PrefixCache] do.
const (
	PrecisePrefixType      = "precise-prefix-cache-producer"
	PrecisePrefixCacheType = "precise-prefix-cache-scorer"
)

// preciseParameters are what of the parameters has an effect.
type preciseParameters struct {
	TokenProcessorConfig struct {
		// BlockSize is the length of the model servers' blocks, in tokens.
		BlockSize int `json:"blockSize"`
		// BlockSizeTokens is a newer name of it.
		BlockSizeTokens int `json:"blockSizeTokens"`
	} `json:"tokenProcessorConfig"`
}

// preciseIndexing is how prompts are remembered with the parameters of a plug-in by events: in
// blocks as long as theirs.
func preciseIndexing(parameters json.RawMessage) (policies.PrefixIndexing, error) {
	indexing := defaultPrefixes()
	if len(parameters) == 0 {
		return indexing, nil
	}
	var p preciseParameters // the rest is about the events
	if err := json.Unmarshal(parameters, &p); err != nil {
		return indexing, fmt.Errorf("%w: tokenProcessorConfig must be a mapping, and its blockSize a whole number", policies.ErrParameters)
	}
	tokens := p.TokenProcessorConfig.BlockSizeTokens
	if tokens == 0 {
		tokens = p.TokenProcessorConfig.BlockSize
	}
	if tokens != 0 {
		indexing.BlockSize = tokens * bytesPerToken
	}
	return indexing, checkIndexing(indexing)
}

// PrecisePrefixFactory is the factory of [PrecisePrefixType].
func PrecisePrefixFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	indexing, err := preciseIndexing(parameters)
	if err != nil {
		return nil, err
	}
	return &ApproxPrefix{policies.NewNamed(PrecisePrefixType, name), indexing}, nil
}

// PrecisePrefixCacheFactory is the factory of [PrecisePrefixCacheType].
func PrecisePrefixCacheFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	indexing, err := preciseIndexing(parameters)
	if err != nil {
		return nil, err
	}
	return &PrefixCache{policies.NewNamed(PrecisePrefixCacheType, name), indexing, ""}, nil
}
