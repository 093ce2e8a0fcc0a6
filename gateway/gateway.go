package gateway

import (
	"iter"
	"sync/atomic"

	"github.com/weirflow/weir/gateway/accesslog"
	"github.com/weirflow/weir/gateway/budget"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/gateway/tracing"
)

// Config describes a gateway: what holds for all its pools.
type Config struct {
	// Keys are the flows by the SHA-256 of their API keys; see SetKeys.
	Keys flows.Keys
	// MaxBody is the largest body accepted, in bytes; 32 MiB by default. Bodies of
	// waiting requests are held in memory.
	MaxBody int64
	// MaxHeaderBytes is the most that a request's headers may have, names and values, in bytes;
	// 16 KiB by default. Larger ones are refused with 431.
	MaxHeaderBytes int
	// MemoryBudget is how many bytes requests may take in all which are being read or
	// wait; 512 MiB by default. Beyond it, the flow that holds most is refused.
	MemoryBudget int64
	// Replica is this one's id, for the request log.
	Replica string
	// Tracing makes traces of requests; nil for none.
	Tracing *tracing.Tracing
	// AccessLog is the request log, which stays the caller's to close; nil for none.
	AccessLog *accesslog.Log
	// Metrics counts the answers to requests that found no pool, and reports what the pools
	// share; nil for none.
	Metrics *metrics.Process
}

// Gateway opens sessions for requests to its pools, however they come. It is safe for
// concurrent use.
type Gateway struct {
	cfg    Config
	budget *budget.Budget
	keys   keyring
	pools  atomic.Pointer[Pools]
}

// New returns a gateway before the pools.
func New(cfg Config, pools *Pools) *Gateway {
	if cfg.MaxHeaderBytes <= 0 {
		cfg.MaxHeaderBytes = headers.DefaultMaxBytes
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = 32 << 20
	}
	if cfg.MemoryBudget <= 0 {
		cfg.MemoryBudget = 512 << 20
	}
	g := &Gateway{cfg: cfg, budget: budget.New(cfg.MemoryBudget)}
	cfg.Metrics.Watch(g.budget, cfg.AccessLog)
	g.SetKeys(cfg.Keys)
	g.SetPools(pools)
	return g
}

// Budget is what bounds the memory of requests.
func (g *Gateway) Budget() *budget.Budget { return g.budget }

// SetKeys replaces the API keys for requests from now on, and ends those that wait by one that
// is gone. With any, a request must carry one as a bearer token, which is removed; its own
// header for the flow is ignored. nil trusts the fairness header.
func (g *Gateway) SetKeys(keys flows.Keys) { g.keys.set(keys) }

// HeaderMemory is about how many bytes of memory the headers of a request take, or refuses them, as
// [headers.Memory] does.
func (g *Gateway) HeaderMemory(all iter.Seq2[string, string]) (int64, *refusal.Refusal) {
	return headers.Memory(all, g.cfg.MaxHeaderBytes)
}

// Keyed reports whether API keys say whose a request is.
func (g *Gateway) Keyed() bool { return g.keys.get() != nil }

// AnswerModels answers a question for the models of all pools, in JSON, and reports whether it
// was one. Where there is one pool, its servers know better.
func (g *Gateway) AnswerModels(method, path string) (body []byte, asked bool, _ *refusal.Refusal) {
	return g.pools.Load().answerModels(method, path)
}

// SetPools replaces the pools for requests from now on. Those under way stay at theirs.
func (g *Gateway) SetPools(pools *Pools) { g.pools.Store(pools) }
