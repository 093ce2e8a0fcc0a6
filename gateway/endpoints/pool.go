package endpoints

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// Config describes a pool of endpoints.
type Config struct {
	// Source lists the endpoints.
	Source Source
	// Profile says which one a request goes to; the least loaded by default.
	Profile Profile
	// Changed is called with the endpoints that can be used whenever one comes or
	// goes, and as often as Watch says.
	Changed func([]policies.EndpointAccessor)
	// Watch says what goes on at first; see [Pool.Watch].
	Watch Watch
	// Metrics names the endpoints' own metrics. Where they are read, that is every Interval,
	// 50 ms by default: a shorter one sees changes sooner and costs the endpoints more. An
	// endpoint at which nothing goes on is read every 2 s; Waiting says whether a
	// request waits here, which may be for what it would say; none by default.
	Metrics  MetricNames
	Interval time.Duration
	Waiting  func() bool
	// Engines are the names of endpoints that say by a label which engine they run;
	// MetricsAt says where the metrics are.
	Engines   Engines
	MetricsAt MetricsAt
	// Others returns what other replicas have in flight at each endpoint, by its
	// address; nothing by default.
	Others func() map[string]store.Load
	// Replica is this replica's id. Fleet exchanges what replicas see of the
	// endpoints; nil for a replica without a fleet.
	Replica string
	Fleet   coordinator.Broadcaster
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
}

// Pool is a pool's endpoints. It is safe for concurrent use.
type Pool struct {
	cfg      Config
	prefixes *prefixes // nil if nothing asks for them
	affinity bool      // something goes by what endpoints have for a request
	observed bool      // something hears of what is picked
	board    *board    // nil for a replica without a fleet
	began    time.Time
	scrapes  atomic.Uint64
	draw     func() float64
	rotate   atomic.Uint64
	drained  atomic.Pointer[map[string]bool] // the addresses that are sent nothing

	mu      sync.Mutex // of changes to all, and of loads
	all     atomic.Pointer[[]*Endpoint]
	loads   map[string]*load // by address
	ctx     context.Context  //nolint:containedctx // the goroutines' life
	stop    context.CancelFunc
	running sync.WaitGroup
	stirred chan struct{} // receives when something begins to go on at an endpoint

	rewatch  sync.Mutex // of changes to watching
	watching atomic.Pointer[watching]
}

// New returns a pool that follows its source. Close must be called to stop it.
func New(cfg Config) *Pool {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Others == nil {
		cfg.Others = func() map[string]store.Load { return nil }
	}
	if cfg.Changed == nil {
		cfg.Changed = func([]policies.EndpointAccessor) {}
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 50 * time.Millisecond
	}
	if cfg.Waiting == nil {
		cfg.Waiting = func() bool { return false }
	}
	if cfg.Profile.Picker == nil {
		cfg.Profile = LeastLoaded()
	}
	p := &Pool{cfg: cfg, began: time.Now(), draw: rand.Float64, loads: make(map[string]*load), stirred: make(chan struct{}, 1)}
	p.all.Store(&[]*Endpoint{})
	p.drained.Store(&map[string]bool{})
	p.watching.Store(&watching{})
	p.ctx, p.stop = context.WithCancel(context.Background())
	if indexing := cfg.Profile.prefixes(); indexing != nil {
		p.prefixes = newPrefixes(*indexing)
	}
	p.affinity, p.observed = cfg.Profile.knowsAffinity(), cfg.Profile.observes()
	if cfg.Fleet != nil {
		p.board = newBoard(p)
		cfg.Fleet.Listen(p.board)
		p.running.Go(func() { p.board.run(p.ctx) })
	}
	if static, ok := cfg.Source.(Static); ok {
		p.update(static) // there from the start
	} else {
		p.running.Go(p.follow)
	}
	p.Watch(cfg.Watch)
	return p
}

// Close ends the pool's goroutines.
func (p *Pool) Close() {
	p.stop()
	p.rewatch.Lock()
	p.watching.Load().end()
	p.rewatch.Unlock()
	p.running.Wait()
}

// follow follows the source.
func (p *Pool) follow() {
	if err := p.cfg.Source.Run(p.ctx, p.update); err != nil && p.ctx.Err() == nil {
		p.cfg.Logger.Error("the pool's endpoints are no longer followed; those known stay", zap.Error(err))
	}
}

// update replaces the list of endpoints. Those already known keep their state; those no
// longer listed finish what they have, which counts again if they come back.
func (p *Pool) update(specs []Spec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := make(map[string]*Endpoint)
	for _, e := range *p.all.Load() {
		known[e.address] = e
	}
	now := make([]*Endpoint, 0, len(specs))
	named := make(map[string]bool)
	for i := range specs {
		spec := &specs[i]
		address := spec.Address()
		if named[address] {
			continue
		}
		named[address] = true
		e := known[address]
		if e == nil {
			if p.loads[address] == nil {
				p.loads[address] = &load{}
			}
			e = &Endpoint{address: address, pool: p, own: p.loads[address], gone: make(chan struct{})}
			joined := p.since(time.Now())
			e.heard.Store(joined)
			e.tried.Store(joined - int64(p.cfg.Interval)) // it is due
			e.spec.Store(spec)
			p.cfg.Logger.Info("model server joined the pool", zap.String("endpoint", e.Name()), zap.String("address", address))
		}
		e.spec.Store(spec)
		delete(known, address)
		now = append(now, e)
	}
	for _, e := range known {
		close(e.gone)
		p.cfg.Logger.Info("model server left the pool", zap.String("endpoint", e.Name()), zap.Int64("in_flight", e.own.inFlight.Load()))
		if p.prefixes != nil {
			p.prefixes.forget(e.address)
		}
	}
	maps.DeleteFunc(p.loads, func(address string, l *load) bool { return !named[address] && l.inFlight.Load() == 0 })
	slices.SortFunc(now, func(a, b *Endpoint) int { return strings.Compare(a.address, b.address) })
	p.all.Store(&now)
	p.Notify()
}

// Endpoints returns all endpoints, usable or not, by their addresses.
func (p *Pool) Endpoints() []*Endpoint { return *p.all.Load() }

// At returns the endpoint of an address; nil if the pool has none there.
func (p *Pool) At(address string) *Endpoint {
	all := p.Endpoints()
	i, found := slices.BinarySearchFunc(all, address, func(e *Endpoint, address string) int { return strings.Compare(e.address, address) })
	if !found {
		return nil
	}
	return all[i]
}

// Drain has nothing more sent to the endpoints of these addresses, and to all others again.
// What is in flight there ends by itself. The map is not to be changed.
func (p *Pool) Drain(addresses map[string]bool) {
	p.drained.Store(&addresses)
	p.Notify()
}

// Scrapes returns how many times this replica read an endpoint's metrics.
func (p *Pool) Scrapes() uint64 { return p.scrapes.Load() }

// since is a time as the nanoseconds since the pool began, and time such a one's time.
func (p *Pool) since(t time.Time) int64 { return int64(t.Sub(p.began)) }

func (p *Pool) time(since *atomic.Int64) time.Time { return p.began.Add(time.Duration(since.Load())) }

// awake has an endpoint read at once where something begins to go on: its last reading may
// be from a time of rest.
func (p *Pool) awake(e *Endpoint) {
	select {
	case p.stirred <- struct{}{}:
	default:
	}
	scraper := p.watching.Load().scraper
	if scraper == nil || time.Since(e.lastRead()) < p.cfg.Interval {
		return
	}
	select {
	case scraper.wanted <- e:
	default: // there is more to read than can be: it will have its turn
	}
}

// Notify calls Changed with the endpoints that can be used now.
func (p *Pool) Notify() {
	all := p.Endpoints()
	usable := make([]policies.EndpointAccessor, 0, len(all))
	for _, e := range all {
		if e.usable() {
			usable = append(usable, e)
		}
	}
	p.cfg.Changed(usable)
}
