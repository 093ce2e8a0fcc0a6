package gateway

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/policies"
)

// probeInterval is how often an endpoint that could not be reached is tried.
const probeInterval = 250 * time.Millisecond

// endpoint is one model server. It implements policies.EndpointAccessor.
type endpoint struct {
	url      *url.URL
	inFlight atomic.Int64
	tokens   atomic.Int64
	down     atomic.Bool // it could not be reached; probed until it can
	reading  atomic.Pointer[policies.EndpointMetrics]
}

func (e *endpoint) InFlight() int         { return int(e.inFlight.Load()) }
func (e *endpoint) InFlightTokens() int64 { return e.tokens.Load() }
func (e *endpoint) Metrics() policies.EndpointMetrics {
	if m := e.reading.Load(); m != nil {
		return *m
	}
	return policies.EndpointMetrics{}
}

// endpoints is the pool's model servers: it picks one for a request and keeps
// those that cannot be reached out of the choice.
type endpoints struct {
	all     []*endpoint
	rotate  atomic.Uint64
	log     *zap.Logger
	changed func([]policies.EndpointAccessor) // told whenever one comes or goes
	probes  sync.WaitGroup
	ctx     context.Context
	stop    context.CancelFunc
}

func newEndpoints(urls []string, log *zap.Logger, changed func([]policies.EndpointAccessor)) (*endpoints, error) {
	all, err := parseUpstreams(urls)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	return &endpoints{all: all, log: log, changed: changed, ctx: ctx, stop: stop}, nil
}

// parseUpstreams makes an endpoint of each URL.
func parseUpstreams(urls []string) ([]*endpoint, error) {
	var all []*endpoint
	for _, raw := range urls {
		u, err := url.Parse(raw)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			return nil, fmt.Errorf("upstream %q: give a URL such as http://127.0.0.1:8000", raw)
		case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil:
			return nil, fmt.Errorf("upstream %q: give scheme, host and port only", u.Redacted())
		case slices.ContainsFunc(all, func(e *endpoint) bool { return e.url.Host == u.Host }):
			return nil, fmt.Errorf("upstream %q: named twice", u.Redacted())
		}
		all = append(all, &endpoint{url: u})
	}
	return all, nil
}

// tell says which endpoints can be used.
func (es *endpoints) tell() {
	var usable []policies.EndpointAccessor
	for _, e := range es.all {
		if !e.down.Load() {
			usable = append(usable, e)
		}
	}
	es.changed(usable)
}

// pick takes the endpoint with the fewest requests in flight, none of those
// tried already, or returns nil. The caller must put it back.
func (es *endpoints) pick(tried []*endpoint, tokens int64) *endpoint {
	return es.take(func(e *endpoint) bool { return !slices.Contains(tried, e) }, tokens)
}

// pickOf picks among those of the addresses, or all if there are none.
func (es *endpoints) pickOf(subset map[string]bool, tokens int64) *endpoint {
	return es.take(func(e *endpoint) bool { return subset == nil || subset[e.address()] }, tokens)
}

// after returns the endpoint and at most so many to turn to when it cannot be
// reached, by how few requests they have.
func (es *endpoints) after(first *endpoint, subset map[string]bool, fallbacks int) []*endpoint {
	others := make([]*endpoint, 0, len(es.all))
	for _, e := range es.all {
		if e != first && !e.down.Load() && (subset == nil || subset[e.address()]) {
			others = append(others, e)
		}
	}
	slices.SortStableFunc(others, func(a, b *endpoint) int { return int(a.inFlight.Load() - b.inFlight.Load()) })
	return append([]*endpoint{first}, others[:min(fallbacks, len(others))]...)
}

func (es *endpoints) take(may func(*endpoint) bool, tokens int64) *endpoint {
	start := int(es.rotate.Add(1) % uint64(max(1, len(es.all))))
	var best *endpoint
	for i := range es.all {
		e := es.all[(start+i)%len(es.all)]
		if e.down.Load() || !may(e) {
			continue
		}
		if best == nil || e.inFlight.Load() < best.inFlight.Load() {
			best = e
		}
	}
	if best != nil {
		best.inFlight.Add(1)
		best.tokens.Add(tokens)
	}
	return best
}

func (e *endpoint) putBack(tokens int64) {
	e.inFlight.Add(-1)
	e.tokens.Add(-tokens)
}

// unreachable takes an endpoint out of the choice until a probe gets through.
func (es *endpoints) unreachable(e *endpoint, cause error) {
	if es.ctx.Err() != nil || !e.down.CompareAndSwap(false, true) {
		return
	}
	es.log.Warn("model server cannot be reached", zap.String("endpoint", e.url.Host), zap.Error(cause))
	es.tell()
	es.probes.Go(func() { es.probe(e) })
}

func (es *endpoints) probe(e *endpoint) {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	address := e.url.Host
	if e.url.Port() == "" {
		address = net.JoinHostPort(e.url.Hostname(), e.url.Scheme)
	}
	dialer := net.Dialer{Timeout: probeInterval}
	for {
		select {
		case <-es.ctx.Done():
			return
		case <-ticker.C:
		}
		if conn, err := dialer.DialContext(es.ctx, "tcp", address); err == nil {
			_ = conn.Close() // only its coming about mattered
			e.down.Store(false)
			es.log.Info("model server is back", zap.String("endpoint", e.url.Host))
			es.tell()
			return
		}
	}
}

func (es *endpoints) close() {
	es.stop()
	es.probes.Wait()
}
