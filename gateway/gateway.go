package gateway

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/gateway/accesslog"
	"github.com/weirflow/weir/gateway/budget"
	"github.com/weirflow/weir/gateway/flows"
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
	// MemoryBudget is how many bytes requests may take in all which are being read or
	// wait; 512 MiB by default. Beyond it, the flow that holds most is refused.
	MemoryBudget int64
	// BodyTimeout is how long a client may take to send its body; 1 minute by
	// default.
	BodyTimeout time.Duration
	// DialTimeout is how long a connection to a model server may take; 2 s by
	// default. Another endpoint is tried after it.
	DialTimeout time.Duration
	// Fallbacks is how many further endpoints are named to Envoy, for when the one
	// picked cannot be reached; none by default. Envoy's override_host policy takes
	// several endpoints; a cluster of type ORIGINAL_DST takes one.
	Fallbacks int
	// Replica is this one's id, for the request log.
	Replica string
	// Tracing makes traces of requests; nil for none.
	Tracing *tracing.Tracing
	// AccessLog is the request log, which stays the caller's to close; nil for none.
	AccessLog *accesslog.Log
	// Delegation has another Endpoint Picker choose the endpoints of requests that come by
	// external processing; nil for none.
	Delegation *Delegation
	// AdmissionOnly lets requests that come by external processing go wherever Envoy
	// sends them: no endpoint is named.
	AdmissionOnly bool
	// PoolHeader and PoolAttribute name the pool of a request that comes by external
	// processing, where there are several: a header that Envoy sets, and an attribute that it
	// sends; empty for neither. The header comes first, and without a value the model says it.
	PoolHeader, PoolAttribute string
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
	// Metrics counts the answers to requests that found no pool, and reports what the pools
	// share; nil for none.
	Metrics *metrics.Process
}

// Gateway is an http.Handler that forwards requests to the pools that they are for when
// flow control lets them go. Close it after the server in front of it, and before its pools.
type Gateway struct {
	cfg    Config
	proxy  *proxy
	budget *budget.Budget
	keys   atomic.Pointer[flows.Keys]
	pools  atomic.Pointer[Pools]
}

// New returns a gateway before the pools.
func New(cfg Config, pools *Pools) *Gateway {
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = 32 << 20
	}
	if cfg.MemoryBudget <= 0 {
		cfg.MemoryBudget = 512 << 20
	}
	if cfg.BodyTimeout <= 0 {
		cfg.BodyTimeout = time.Minute
	}
	if cfg.DialTimeout <= 0 {
		cfg.DialTimeout = 2 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if d := cfg.Delegation; d != nil && d.Timeout <= 0 {
		d.Timeout = 5 * time.Second
	}
	g := &Gateway{cfg: cfg, budget: budget.New(cfg.MemoryBudget)}
	cfg.Metrics.Watch(g.budget, cfg.AccessLog)
	g.SetKeys(cfg.Keys)
	g.SetPools(pools)
	g.proxy = newProxy(g, &net.Dialer{Timeout: cfg.DialTimeout, KeepAlive: 30 * time.Second})
	return g
}

// SetKeys replaces the API keys for requests from now on. With any, a request must carry one
// as a bearer token, which is removed; its own header for the flow is ignored. nil trusts
// the fairness header.
func (g *Gateway) SetKeys(keys flows.Keys) { g.keys.Store(&keys) }

// Keyed reports whether API keys say whose a request is.
func (g *Gateway) Keyed() bool { return *g.keys.Load() != nil }

// AnswerModels answers a question for the models of all pools, in JSON, and reports whether it
// was one. Where there is one pool, its servers know better.
func (g *Gateway) AnswerModels(method, path string) (body []byte, asked bool, _ *refusal.Refusal) {
	return g.pools.Load().answerModels(method, path)
}

// SetPools replaces the pools for requests from now on. Those under way stay at theirs.
func (g *Gateway) SetPools(pools *Pools) { g.pools.Store(pools) }

// Close ends the gateway's idle connections.
func (g *Gateway) Close() { g.proxy.forwarder.close() }

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.proxy.ServeHTTP(w, r) }
