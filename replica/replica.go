// Package replica puts a replica together as its configuration says, and runs it:
//
//	        ┌ a pool's ledger ──> controller, model servers ┐
//	fleet ──┤                                               ├──> gateway ──> servers for
//	        └ ...                                           ┘    requests, Envoy, operators
//	              a signal or a changed file ──> reload: policies, tenants, keys
package replica

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/gossip"
	parts "github.com/weirflow/weir/coordinator/pools"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/accesslog"
	"github.com/weirflow/weir/gateway/admin"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/proxy"
	"github.com/weirflow/weir/gateway/serving"
	"github.com/weirflow/weir/gateway/spread"
	"github.com/weirflow/weir/gateway/tracing"
	"github.com/weirflow/weir/internal/build"
	"github.com/weirflow/weir/internal/watch"
	"github.com/weirflow/weir/store"
)

// Load reads the configuration, at the start and at each reload. The problems beside
// the plan are warnings.
type Load func() (*config.Plan, config.Problems, error)

// Run runs a replica until ctx ends, and then lets what is under way end. From its begin
// on, SIGHUP makes it read the configuration again and never ends the process.
func Run(ctx context.Context, load Load, log *zap.Logger) error {
	return run(ctx, load, inCluster, log)
}

// find returns how InferencePools of a namespace and a selector are found.
type find func(plan *config.Plan, namespace, selector string, log *zap.Logger) (finder, error)

func run(ctx context.Context, load Load, find find, log *zap.Logger) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	plan, warnings, err := load()
	if err != nil {
		return err
	}
	for _, w := range warnings {
		log.Warn("configuration: " + w.String())
	}
	seen := watch.New(plan.Files())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &replica{load: load, find: find, plan: plan, log: log, cancel: cancel, incarnation: uint64(time.Now().UnixNano()), metrics: prometheus.NewRegistry()}
	defer r.close()
	if err := r.open(ctx); err != nil {
		return err
	}
	go (&reloader{replica: r, plan: r.plan}).run(ctx, seen, hangup) // ends with ctx
	return r.serve(ctx)
}

// replica is what a running one consists of.
type replica struct {
	load Load
	find find
	plan *config.Plan // at the start
	log  *zap.Logger
	// cancel ends the replica.
	cancel context.CancelCauseFunc

	incarnation uint64 // of this run

	metrics    *prometheus.Registry
	figures    *metrics.Process
	fleet      *gossip.Fleet // nil for a replica that does not gossip
	parts      *parts.Pools  // that the pools share; nil for one pool
	ledgers    *ledgers
	discovery  *discovery    // nil where the file says which pools there are
	leftOut    []api.LeftOut // by it, at the start
	pools      pools
	spread     *spread.Table
	console    *admin.Directory
	gateway    *gateway.Gateway
	proxy      *proxy.Proxy // by which requests come
	byEnvoy    envoy.Config // how they come by external processing
	accessLog  *accesslog.Log
	traced     bool                                // requests are
	shown      atomic.Pointer[admin.Configuration] // that is in effect
	refused    *refusedConfig                      // why not all of a later one is
	requests   net.Listener
	operators  net.Listener
	processing *extProc // nil for none

	certificate *serving.Certificate // of the address for requests; nil for plain HTTP
	budget      int64                // of memory for requests, in bytes

	closers []func() // in the order of opening
}

// later registers something to be closed at the end.
func (r *replica) later(close func()) { r.closers = append(r.closers, close) }

func (r *replica) close() {
	for i := len(r.closers) - 1; i >= 0; i-- {
		r.closers[i]()
	}
}

// open makes the parts. What may fail because of a mistake comes before the other replicas
// learn of this one.
func (r *replica) open(ctx context.Context) error {
	if err := r.discover(ctx); err != nil {
		return err
	}
	var err error
	if r.ledgers, err = newLedgers(r.plan, r.log); err != nil {
		return err
	}
	r.later(r.ledgers.close)
	r.spread = r.newSpread()
	r.later(r.leaveFleet)
	if err := r.openPools(ctx); err != nil {
		return err
	}
	if err := r.listen(); err != nil {
		return err
	}
	r.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo(build.Read()))
	r.accessLog = accesslog.New(os.Stdout, r.plan.AccessLog, r.log)
	r.later(r.accessLog.Close)
	cfg := gatewayConfig(r.plan, r.log)
	r.budget = cfg.MemoryBudget
	r.byEnvoy = envoyConfig(r.plan, r.log)
	if r.byEnvoy.Delegation, err = r.delegation(ctx); err != nil {
		return err
	}
	if cfg.Tracing, err = r.trace(ctx); err != nil {
		return err
	}
	var only *metrics.Pool
	if !r.plan.Several() {
		only = r.pools.all()[0].metrics
	}
	r.figures = metrics.NewProcess(only)
	r.refused = newRefusedConfig(r.figures)
	r.metrics.MustRegister(r.figures)
	cfg.AccessLog, cfg.Metrics = r.accessLog, r.figures
	if err := r.show(r.plan, time.Now()); err != nil {
		return err
	}
	if err := r.join(ctx); err != nil {
		return err
	}
	var others coordinator.Questions // none
	if r.fleet != nil {
		others = r.fleet
	}
	r.console = admin.NewDirectory(r.plan.File.Weir.Replica, r.plan.Several(), others)
	if err := r.startPools(ctx); err != nil {
		return err
	}
	r.later(during(r.spread.Run))
	r.leaveOut(r.leftOut)
	r.gateway = gateway.New(cfg, r.route())
	r.proxy = proxy.New(r.gateway, proxy.Config{Logger: r.log})
	r.later(r.proxy.Close)
	r.later(r.keepOpening())
	return nil
}

// traceEnd is how long a replica that ends waits for its last traces to be taken.
const traceEnd = 5 * time.Second

// trace makes traces of requests, if the environment asks for it.
func (r *replica) trace(ctx context.Context) (*tracing.Tracing, error) {
	traces, err := tracing.FromEnvironment(ctx, r.plan.File.Weir.Replica, build.Read().Version, r.log)
	if r.traced = traces != nil; !r.traced {
		return nil, err
	}
	r.later(func() {
		ctx, cancel := context.WithTimeout(context.Background(), traceEnd)
		defer cancel()
		if err := traces.Close(ctx); err != nil {
			r.log.Warn("the last traces are lost", zap.Error(err))
		}
	})
	return traces, nil
}

// show makes a configuration the one that operators and metrics are told of. Its file was read
// at that time.
func (r *replica) show(plan *config.Plan, read time.Time) error {
	text, err := plan.Show()
	if err != nil {
		return err
	}
	print, err := plan.Fingerprint()
	if err != nil {
		return err
	}
	r.figures.ConfigRead(print, read)
	r.shown.Store(&admin.Configuration{
		YAML: string(text), Files: plan.Files(), Loaded: read, Fingerprint: print,
	})
	return nil
}

// listen binds the addresses that clients, Envoy and operators come to.
func (r *replica) listen() error {
	w := &r.plan.File.Weir
	var err error
	if r.requests, err = serving.Listen(r.plan.Name("weir.listen"), w.Listen); err != nil {
		return err
	}
	r.later(func() { _ = r.requests.Close() })
	if w.TLS.Cert != "" {
		if r.certificate, err = serving.NewCertificate(w.TLS.Cert, w.TLS.Key, r.log); err != nil {
			return fmt.Errorf("%s: %w", r.plan.Name("weir.tls.cert"), err)
		}
	}
	if r.operators, err = serving.Listen(r.plan.Name("weir.admin"), w.Admin); err != nil {
		return err
	}
	r.later(func() { _ = r.operators.Close() })
	if w.ExtProc.Listen != "" {
		if r.processing, err = newExtProc(r.plan, r.log); err != nil {
			return err
		}
		r.later(func() { _ = r.processing.listener.Close() })
	}
	return nil
}

// join makes this replica a member of its fleet, if it has one.
func (r *replica) join(ctx context.Context) (err error) {
	if r.plan.File.Weir.Fleet.Gossip == "" {
		return nil
	}
	if err := exportMemberlist(r.metrics); err != nil {
		return err
	}
	var only store.Ledger // where there are several pools, each is told its own
	if !r.plan.Several() {
		only = r.pools.all()[0].ledger
	}
	if r.fleet, err = openFleet(ctx, r.plan, only, r.incarnation, r.log); err != nil {
		return err
	}
	r.metrics.MustRegister(r.fleet.Metrics(r.plan.File.Weir.Pool))
	if _, err := r.fleet.Join(ctx); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", r.plan.Name("weir.replica"), err), r.fleet.Leave(ctx))
	}
	if r.plan.Several() {
		r.parts = parts.New(r.fleet, r.plan.File.Weir.Replica)
	}
	return nil
}

// headsPart: beside the memory for requests, one part in so many of it is for heads of requests
// of which it is not known yet whose they are, and as much for messages of external processing.
const headsPart = 8

// leastHeads is what these may take, in bytes, however small the budget: a dozen of the largest.
const leastHeads = 4 << 20

// serve serves until ctx ends.
func (r *replica) serve(ctx context.Context) error {
	cfg := &r.plan.File.Weir
	address := admin.NewAddress(admin.AddressConfig{
		Responsive: r.responsive, Metrics: metrics.Named(r.metrics, metrics.Names(cfg.MetricsNames)), Exemplars: r.traced,
	})
	address.Mount(r.console)
	if cfg.PProf {
		address.ServeProfiles()
	}
	operators := namedLocally(address)
	if file := cfg.AdminTokenFile; file != "" {
		operators = guarded(file, address)
	}
	adminServer := &http.Server{Handler: operators, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	asked := serving.BoundHeads(adminServer, r.operators, leastHeads)
	go func() { _ = adminServer.Serve(asked) }() // to the very end, so that a drain can be watched
	r.later(func() { _ = adminServer.Close() })
	drain := time.Duration(*cfg.DrainTimeout)
	r.logServing()
	if cfg.Shadow {
		r.log.Warn("shadow: no request is held or refused; what flow control would have done is counted in weir_shadow_requests_total")
	}
	address.SetReady(true)
	go func() { // ends with ctx
		<-ctx.Done()
		address.SetReady(false)
		r.log.Info("draining", zap.Duration("at_most", drain))
		r.retirePools()
	}()
	server := &http.Server{
		Handler: r.proxy, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: int(cfg.MaxHeaderBytes),
		ErrorLog: zap.NewStdLog(r.log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))),
	}
	if r.certificate != nil {
		server.TLSConfig = r.certificate.Config()
		// Beyond its bound net/http ends a connection by HTTP/2, with all that is under way on it. Up to
		// what Envoy lets in the gateway refuses the request alone.
		server.MaxHeaderBytes = max(server.MaxHeaderBytes, 64<<10)
	}
	var beside []serving.Service
	unknown := max(r.budget/headsPart, leastHeads)
	if r.processing != nil {
		r.processing.listener = serving.BoundMessages(r.processing.listener, r.processing.secure, unknown, headers.DefaultMaxBytes, r.gateway.Budget())
		r.processing.register(envoy.New(r.gateway, r.byEnvoy))
		beside = append(beside, r.processing)
	}
	requests := serving.BoundHeads(server, r.requests, unknown)
	err := serving.Until(ctx, drain, server, requests, r.drainPools, beside...)
	if cause := context.Cause(ctx); errors.Is(cause, store.ErrSuperseded) {
		err = errors.Join(cause, err)
	}
	return err
}

// buildInfo is a metric that says which build this is.
func buildInfo(info build.Info) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "weir_build_info", Help: "1; its labels say which build of Weir the replica runs.",
		ConstLabels: prometheus.Labels{"version": info.Version, "revision": info.Revision, "goversion": info.Go},
	})
	g.Set(1)
	return g
}

func (r *replica) logServing() {
	info, endpoints := build.Read(), 0
	for _, p := range r.pools.all() {
		endpoints += len(p.gateway.Endpoints().Endpoints())
	}
	fields := []zap.Field{
		zap.String("version", info.Version), zap.String("revision", info.Revision), zap.String("replica", r.plan.File.Weir.Replica), zap.Stringer("listen", r.requests.Addr()), zap.Stringer("admin", r.operators.Addr()),
		zap.Int("endpoints", endpoints),
	}
	if r.plan.Several() {
		fields = append(fields, zap.Int("pools", len(r.plan.Pools)))
	} else {
		fields = append(fields, zap.Stringer("fairness", r.plan.Default.Fairness.TypedName()), zap.Stringer("saturation_detector", r.plan.Detector.TypedName()))
	}
	if r.fleet != nil {
		fields = append(fields, zap.String("gossip", r.fleet.Address()))
	}
	if r.processing != nil {
		fields = append(fields, zap.Stringer("ext_proc", r.processing.listener.Addr()))
	}
	r.log.Info("serving", fields...)
}
