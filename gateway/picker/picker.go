// Package picker connects to other Endpoint Pickers: external processors of Envoy that
// name the endpoint which a request goes to.
//
// A picker is used while it answers gRPC health checks, if it has them; one that comes
// back is used again. Of several, the one with the fewest streams takes the next.
package picker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // checks the health of what a service config says
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// ErrNone says that no picker can be used.
var ErrNone = errors.New("no picker can be used")

// Config describes pickers.
type Config struct {
	// Addresses are a host and a port each; a host name stands for all its addresses.
	Addresses []string
	// TLS is how they are spoken to; nil for plain text.
	TLS *tls.Config
	// Logger gets when one can no longer be used, and when it can again; nothing by
	// default.
	Logger *zap.Logger
}

// Pickers are those that a replica may ask. They are safe for concurrent use.
type Pickers struct {
	all  []*picker
	stop context.CancelFunc
	runs sync.WaitGroup

	mu   sync.Mutex
	turn int // where the next choice begins

	usable, open *prometheus.GaugeVec
	failures     *prometheus.CounterVec
	unserved     prometheus.Counter
}

// picker is one address.
type picker struct {
	address string
	conn    *grpc.ClientConn
	open    atomic.Int64 // streams
}

// serviceConfig spreads streams over the addresses of a name, and leaves out those that say
// that they are not well.
const serviceConfig = `{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}`

// New connects to pickers. Close must be called to end the connections.
func New(cfg Config) (*Pickers, error) {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	creds := insecure.NewCredentials()
	if cfg.TLS != nil {
		creds = credentials.NewTLS(cfg.TLS)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &Pickers{stop: stop}
	label := []string{"picker"}
	p.usable = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_picker_usable", Help: "Whether a picker can be used: it is connected, and well as far as it says."}, label)
	p.open = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_picker_streams", Help: "Streams that this replica has open at a picker, those of waiting requests included."}, label)
	p.failures = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_picker_failures_total", Help: "Streams that a picker failed before it had answered for its request."}, label)
	p.unserved = prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_picker_unserved_total", Help: "Requests for which no picker answered: this replica chose their endpoint, or refused them."})
	for _, address := range cfg.Addresses {
		conn, err := grpc.NewClient("dns:///"+address,
			grpc.WithTransportCredentials(creds), grpc.WithDefaultServiceConfig(serviceConfig), grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
				MinConnectTimeout: 2 * time.Second,
			}))
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("picker %s: %w", address, err)
		}
		one := &picker{address: address, conn: conn}
		p.all = append(p.all, one)
		p.failures.WithLabelValues(address)
		conn.Connect()
		p.runs.Go(func() { one.watch(ctx, cfg.Logger) })
	}
	return p, nil
}

// Close ends the connections and the streams on them.
func (p *Pickers) Close() {
	p.stop()
	for _, one := range p.all {
		_ = one.conn.Close() // nothing is left to be sent
	}
	p.runs.Wait()
}

// watch says when the picker can be used, and when not and why.
func (p *picker) watch(ctx context.Context, log *zap.Logger) {
	log = log.With(zap.String("picker", p.address))
	usable, met := true, false // so that one that cannot be used from the start is told
	for {
		state := p.conn.GetState()
		switch {
		case state == connectivity.Idle:
			p.conn.Connect()
		case state == connectivity.TransientFailure && usable:
			usable = false
			log.Warn("a picker cannot be used", zap.Error(p.check(ctx)))
		case state == connectivity.Ready && !usable:
			usable = true
			log.Info("a picker can be used again")
		}
		if state == connectivity.Ready && !met {
			met = true
			if status.Code(p.check(ctx)) == codes.Unimplemented {
				log.Info("a picker serves no gRPC health checks: it is used for as long as it is connected")
			}
		}
		if !p.conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}

// check asks the picker how it is, and so finds out why it cannot be asked.
func (p *picker) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := grpc_health_v1.NewHealthClient(p.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}

func (p *picker) usable() bool { return p.conn.GetState() == connectivity.Ready }

// Await waits until a picker can be used, or ctx ends.
func (p *Pickers) Await(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !slices.ContainsFunc(p.all, (*picker).usable) {
		select {
		case <-ctx.Done():
			return ErrNone
		case <-ticker.C:
		}
	}
	return nil
}

// take counts a stream at the one with the fewest of those that can be used, equals in
// turn; it returns nil if none can be.
func (p *Pickers) take() (best *picker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	for i := range p.all {
		one := p.all[(p.turn+i)%len(p.all)]
		if one.usable() && (best == nil || one.open.Load() < best.open.Load()) {
			best = one
		}
	}
	if best != nil {
		best.open.Add(1)
	}
	return best
}

// Stream is one request's exchange with a picker. One goroutine may send while another
// receives.
type Stream struct {
	extproc.ExternalProcessor_ProcessClient
	from    *picker
	pickers *Pickers
	cancel  context.CancelFunc
	ended   atomic.Bool
}

// Open opens a stream at a picker until End, or until ctx ends. The error is ErrNone if
// there is none that can be used.
func (p *Pickers) Open(ctx context.Context) (*Stream, error) {
	one := p.take()
	if one == nil {
		return nil, ErrNone
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := extproc.NewExternalProcessorClient(one.conn).Process(ctx)
	if err != nil {
		cancel()
		one.open.Add(-1)
		p.failures.WithLabelValues(one.address).Inc()
		return nil, fmt.Errorf("%w: %s: %w", ErrNone, one.address, err)
	}
	return &Stream{ExternalProcessor_ProcessClient: stream, from: one, pickers: p, cancel: cancel}, nil
}

// Picker is the address of the picker.
func (s *Stream) Picker() string { return s.from.address }

// Failed notes that the picker did not do what it is there for.
func (s *Stream) Failed() { s.pickers.failures.WithLabelValues(s.from.address).Inc() }

// Unserved notes a request for which no picker answered.
func (p *Pickers) Unserved() { p.unserved.Inc() }

// End ends the stream. Only the first call has an effect.
func (s *Stream) End() {
	if !s.ended.Swap(true) {
		s.cancel()
		s.from.open.Add(-1)
	}
}

// Describe implements prometheus.Collector.
func (p *Pickers) Describe(out chan<- *prometheus.Desc) {
	p.usable.Describe(out)
	p.open.Describe(out)
	p.failures.Describe(out)
	p.unserved.Describe(out)
}

// Collect implements prometheus.Collector.
func (p *Pickers) Collect(out chan<- prometheus.Metric) {
	for _, one := range p.all {
		up := 0.0
		if one.usable() {
			up = 1
		}
		p.usable.WithLabelValues(one.address).Set(up)
		p.open.WithLabelValues(one.address).Set(float64(one.open.Load()))
	}
	p.usable.Collect(out)
	p.open.Collect(out)
	p.failures.Collect(out)
	p.unserved.Collect(out)
}
