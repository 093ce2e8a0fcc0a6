// Package picker connects to other Endpoint Pickers: external processors of Envoy that
// name the endpoint which a request goes to.
//
// A picker is used while it is connected, says by gRPC health checks that it is well, if it has
// them, and answers. One that answers nobody, or breaks streams instead, is left out for a while.
// Of several, the one with the fewest requests is asked next, and one that keeps others waiting only
// where there is no other.
//
// Streams are opened ahead of need, one for each request that waits; which of them a request
// gets is known once it may go.
//
//	Reserve ──> a stream is opened beside the wait ──> spare
//	Ask     ──> a picker is chosen ──> a spare of it, or one that is opened now ──> Streams
package picker

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// ErrNone says that no picker can be used.
var ErrNone = errors.New("no picker can be used")

// Config describes pickers.
type Config struct {
	// Addresses are a host and a port each. Each address of a host name is a picker.
	Addresses []string
	// Every is how often host names are looked up; 5 s by default, and while one of a name's
	// pickers was lost, or none was ever connected, a second at most.
	Every time.Duration
	// Resolve looks a host name's addresses up; the system's resolver by default.
	Resolve func(ctx context.Context, host string) ([]string, error)
	// TLS is how they are spoken to; nil for plain text.
	TLS *tls.Config
	// Logger gets when one can no longer be used, and when it can again; nothing by
	// default.
	Logger *zap.Logger
}

// Pickers are those that a replica may ask. They are safe for concurrent use.
type Pickers struct {
	log  *zap.Logger
	ctx  context.Context // of connections and streams
	stop context.CancelFunc
	runs sync.WaitGroup

	mu       sync.Mutex
	names    []*name
	all      []*picker
	retired  []*picker // that are at no address any more, and have streams yet
	closed   bool
	turn     int      // where the next choice begins
	expected int      // claims that have not asked yet, for which streams are opened
	wanting  []*Claim // that have asked and have no stream yet; the first comes first

	unserved prometheus.Counter
}

// New connects to pickers. Close must be called to end the connections.
func New(cfg Config) (*Pickers, error) {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Resolve == nil {
		cfg.Resolve = net.DefaultResolver.LookupHost
	}
	if cfg.Every <= 0 {
		cfg.Every = 5 * time.Second
	}
	p := &Pickers{log: cfg.Logger}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.unserved = prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_picker_unserved_total", Help: "Requests for which no picker answered: this replica chose their endpoint, or refused them."})
	for _, address := range cfg.Addresses {
		if err := p.add(&cfg, address); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// Close ends the connections and the streams on them.
func (p *Pickers) Close() {
	p.mu.Lock()
	p.closed = true
	all := slices.Concat(p.all, p.retired)
	p.mu.Unlock()
	p.stop()
	for _, one := range all {
		_ = one.conn.Close() // nothing is left to be sent
	}
	p.runs.Wait()
}

// Await waits until a picker can be used, or ctx ends.
func (p *Pickers) Await(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !p.anyReady() {
		select {
		case <-ctx.Done():
			return ErrNone
		case <-ticker.C:
		}
	}
	return nil
}

func (p *Pickers) anyReady() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.all, (*picker).ready)
}

// Unserved notes a request for which no picker answered.
func (p *Pickers) Unserved() { p.unserved.Inc() }
