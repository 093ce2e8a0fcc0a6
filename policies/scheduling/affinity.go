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
	// HashBlockSize is an older name of blockSize. AutoTune is accepted and has no effect.
	HashBlockSize int  `json:"hashBlockSize"`
	AutoTune      bool `json:"autoTune"`
}

// PrefixCache prefers endpoints that probably have more of the prompt in their prefix
// caches, judging by where earlier prompts went. The index is shared by the fleet.
type PrefixCache struct {
	policies.Named
	indexing policies.PrefixIndexing
}

// PrefixCacheFactory is the factory of [PrefixCacheType].
func PrefixCacheFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p := PrefixCacheParameters{BlockSize: 64, MaxPrefixBlocksToMatch: 256, LRUCapacityPerServer: 31250}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	if p.HashBlockSize != 0 {
		p.BlockSize = p.HashBlockSize
	}
	if p.BlockSizeTokens != 0 {
		p.BlockSize = p.BlockSizeTokens * bytesPerToken
	}
	switch {
	case p.BlockSize < 8 || p.BlockSize > 1<<16:
		return nil, fmt.Errorf("%w: a block has %d bytes, it must have from 8 to 65536 (blockSize)", policies.ErrParameters, p.BlockSize)
	case p.MaxPrefixBlocksToMatch < 1 || p.MaxPrefixBlocksToMatch > 4096:
		return nil, fmt.Errorf("%w: maxPrefixBlocksToMatch is %d, it must be from 1 to 4096", policies.ErrParameters, p.MaxPrefixBlocksToMatch)
	case p.LRUCapacityPerServer < 1 || p.LRUCapacityPerServer > 10_000_000:
		return nil, fmt.Errorf("%w: lruCapacityPerServer is %d, it must be from 1 to 10000000", policies.ErrParameters, p.LRUCapacityPerServer)
	}
	return &PrefixCache{policies.NewNamed(PrefixCacheType, name), policies.PrefixIndexing{
		BlockSize: p.BlockSize, MaxBlocks: p.MaxPrefixBlocksToMatch, PerEndpoint: p.LRUCapacityPerServer,
	}}, nil
}

// Prefixes implements [policies.PrefixReader].
func (s *PrefixCache) Prefixes() policies.PrefixIndexing { return s.indexing }

// Score implements [policies.EndpointScorer]: the share of the prompt that is cached.
func (s *PrefixCache) Score(r policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	for i, e := range endpoints {
		scores[i] = r.Cached(e.Address())
	}
}

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
