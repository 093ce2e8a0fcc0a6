package scheduling

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/weirflow/weir/policies"
)

// Types of the scorers by affinity.
const (
	PrefixCacheType  = "prefix-cache-scorer"
	LoRAAffinityType = "lora-affinity-scorer"
	// ApproxPrefixType is of the plug-in that says how prompts are remembered, where that
	// is not said by a scorer.
	ApproxPrefixType = "approx-prefix-cache-producer"
)

// bytesPerToken turns a block's size in tokens into bytes of text.
const bytesPerToken = 4

// PrefixCacheParameters are what the type takes.
type PrefixCacheParameters struct {
	// BlockSize is the length of the blocks that prompts are cut into, in bytes; 64.
	// A common prefix counts in whole blocks. Shorter blocks find shorter prefixes and
	// take more memory.
	BlockSize int `json:"blockSize"`
	// BlockSizeTokens is the same in tokens, of 4 bytes each; it holds if given.
	BlockSizeTokens int `json:"blockSizeTokens"`
	// MaxPrefixBlocksToMatch is how many blocks of a prompt are compared; 256.
	MaxPrefixBlocksToMatch int `json:"maxPrefixBlocksToMatch"`
	// LRUCapacityPerServer is how many blocks an endpoint's cache is assumed to hold;
	// 31250. More than it really holds sends requests to caches that have evicted them.
	LRUCapacityPerServer int `json:"lruCapacityPerServer"`
	// MaxPrefixTokensToMatch is the same in tokens; it holds if given.
	MaxPrefixTokensToMatch int `json:"maxPrefixTokensToMatch"`
	// PrefixMatchInfoProducerName names the approx-prefix-cache-producer, which says all of
	// this instead.
	PrefixMatchInfoProducerName string `json:"prefixMatchInfoProducerName"`
	// HashBlockSize is an older name of blockSize. AutoTune is accepted and has no effect.
	HashBlockSize int  `json:"hashBlockSize"`
	AutoTune      bool `json:"autoTune"`
}

// PrefixCache prefers endpoints that probably have more of the prompt in their prefix
// caches, judging by where earlier prompts went. The index is shared by the fleet.
type PrefixCache struct {
	policies.Named
	indexing policies.PrefixIndexing
	producer string
}

// PrefixCacheFactory is the factory of [PrefixCacheType].
func PrefixCacheFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p, indexing, err := prefixParameters(parameters, defaultPrefixes())
	if err != nil {
		return nil, err
	}
	return &PrefixCache{policies.NewNamed(PrefixCacheType, name), indexing, p.PrefixMatchInfoProducerName}, nil
}

// defaultPrefixes is how prompts are remembered where nothing says it.
func defaultPrefixes() policies.PrefixIndexing {
	return policies.PrefixIndexing{BlockSize: 64, MaxBlocks: 256, PerEndpoint: 31250}
}

// maxPrefixBlocks bounds how many blocks of a prompt are compared.
const maxPrefixBlocks = 4096

// prefixParameters reads how prompts are remembered.
func prefixParameters(parameters json.RawMessage, defaults policies.PrefixIndexing) (p PrefixCacheParameters, _ policies.PrefixIndexing, err error) {
	p = PrefixCacheParameters{BlockSize: defaults.BlockSize, MaxPrefixBlocksToMatch: defaults.MaxBlocks, LRUCapacityPerServer: defaults.PerEndpoint}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return p, defaults, err
	}
	if p.HashBlockSize != 0 {
		p.BlockSize = p.HashBlockSize
	}
	if p.BlockSizeTokens != 0 {
		p.BlockSize = p.BlockSizeTokens * bytesPerToken
	}
	if p.MaxPrefixTokensToMatch > 0 && p.BlockSize > 0 {
		p.MaxPrefixBlocksToMatch = min(max(1, p.MaxPrefixTokensToMatch*bytesPerToken/p.BlockSize), maxPrefixBlocks)
	}
	indexing := policies.PrefixIndexing{BlockSize: p.BlockSize, MaxBlocks: p.MaxPrefixBlocksToMatch, PerEndpoint: p.LRUCapacityPerServer}
	return p, indexing, checkIndexing(indexing)
}

// checkIndexing reports what of an indexing is out of its bounds, by the parameter's name.
func checkIndexing(i policies.PrefixIndexing) error {
	switch {
	case i.BlockSize < bytesPerToken || i.BlockSize > 1<<16:
		return fmt.Errorf("%w: a block has %d bytes, it must have from %d to 65536 (blockSize)", policies.ErrParameters, i.BlockSize, bytesPerToken)
	case i.MaxBlocks < 1 || i.MaxBlocks > maxPrefixBlocks:
		return fmt.Errorf("%w: maxPrefixBlocksToMatch is %d, it must be from 1 to %d", policies.ErrParameters, i.MaxBlocks, maxPrefixBlocks)
	case i.PerEndpoint < 1 || i.PerEndpoint > 10_000_000:
		return fmt.Errorf("%w: lruCapacityPerServer is %d, it must be from 1 to 10000000", policies.ErrParameters, i.PerEndpoint)
	}
	return nil
}

// ApproxPrefix is the plug-in of [ApproxPrefixType].
type ApproxPrefix struct {
	policies.Named
	indexing policies.PrefixIndexing
}

// ApproxPrefixFactory is the factory of [ApproxPrefixType]. It takes what the prefix-cache-scorer
// does.
func ApproxPrefixFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	_, indexing, err := prefixParameters(parameters, defaultPrefixes())
	if err != nil {
		return nil, err
	}
	return &ApproxPrefix{policies.NewNamed(ApproxPrefixType, name), indexing}, nil
}

// Prefixes implements [policies.PrefixReader].
func (s *ApproxPrefix) Prefixes() policies.PrefixIndexing { return s.indexing }

// PrefixProducer implements [policies.PrefixConsumer].
func (s *PrefixCache) PrefixProducer() string { return s.producer }

// Prefixes implements [policies.PrefixReader].
func (s *PrefixCache) Prefixes() policies.PrefixIndexing { return s.indexing }

// Score implements [policies.EndpointScorer]: the share of the prompt that is cached.
func (s *PrefixCache) Score(r policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	for i, e := range endpoints {
		scores[i] = r.Cached(e.Address())
	}
}

// KnowsAffinity implements [policies.AffinityKnower].
func (s *PrefixCache) KnowsAffinity() bool { return true }

// LoRAAffinity prefers endpoints that have the request's LoRA adapter loaded, then
// those with room for another.
type LoRAAffinity struct{ policies.Named }

// NewLoRAAffinity returns the scorer.
func NewLoRAAffinity(name string) *LoRAAffinity {
	return &LoRAAffinity{policies.NewNamed(LoRAAffinityType, name)}
}

// Score implements [policies.EndpointScorer]: 1 where the adapter is loaded, 0.8 where
// another can be, 0.6 where it waits to be, 0 elsewhere.
func (s *LoRAAffinity) Score(r policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	for i, e := range endpoints {
		switch m := e.Metrics(); {
		case slices.Contains(m.LoadedModels, r.Model()):
			scores[i] = 1
		case len(m.LoadedModels)+len(m.WaitingModels) < m.MaxLoadedModels:
			scores[i] = 0.8
		case slices.Contains(m.WaitingModels, r.Model()):
			scores[i] = 0.6
		default:
			scores[i] = 0
		}
	}
}

// ReadsMetrics implements [policies.MetricsReader].
func (s *LoRAAffinity) ReadsMetrics() bool { return true }

// KnowsAffinity implements [policies.AffinityKnower].
func (s *LoRAAffinity) KnowsAffinity() bool { return true }
