package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
	"github.com/weirflow/weir/store/redis"
)

// serveFlags are the flags of weir serve.
type serveFlags struct {
	upstreams           []string
	maxConcurrency      int
	listen, admin       string
	fairness            string
	replica             string
	ttl, drain          time.Duration
	maxQueued           int64
	maxBody             int64
	logLevel, logFormat string
	redis               redis.Config
	onStoreOutage       string
	lease               time.Duration
	fleet               fleetFlags
}

func newServe() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a replica in front of model servers",
		Example: `  weir modelserver --listen 127.0.0.1:8000
  weir serve --upstream http://127.0.0.1:8000 --max-concurrency 8 --fairness round-robin-fairness-policy`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd, &f) },
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&f.upstreams, "upstream", nil, "URL of a model server; may be repeated")
	fs.IntVar(&f.maxConcurrency, "max-concurrency", 100, "requests in flight for each model server")
	fs.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address for requests")
	fs.StringVar(&f.admin, "admin", "127.0.0.1:9090", "address for metrics, health and debugging")
	fs.StringVar(&f.fairness, "fairness", fairness.GlobalStrictType, "fairness policy of the default band")
	fs.StringVar(&f.replica, "replica-id", defaultReplica(), "id of this replica, unique in the fleet")
	fs.DurationVar(&f.ttl, "request-ttl", time.Minute, "how long a request may wait; 0 for ever")
	fs.Int64Var(&f.maxQueued, "max-queued", 0, "requests that may wait in all bands together; 0 for the bands' own limits only")
	fs.Int64Var(&f.maxBody, "max-body", 32<<20, "largest request body in bytes")
	fs.DurationVar(&f.drain, "drain-timeout", 30*time.Second, "how long requests may go on after SIGTERM")
	fs.StringVar(&f.redis.URL, "redis", "", "URL of the Redis that replicas share, such as redis://127.0.0.1:6379; without it the ledger is in this process's memory")
	fs.StringVar(&f.redis.PasswordFile, "redis-password-file", "", "file with Redis's password; without it "+redis.PasswordVariable+" is taken")
	fs.StringVar(&f.redis.Prefix, "redis-prefix", "weir:", "start of every key")
	fs.StringVar(&f.redis.Pool, "pool", "default", "name of the pool; replicas of one pool share a ledger")
	fs.StringVar(&f.onStoreOutage, "on-store-outage", "share", "while Redis is out of reach: share (go on within this replica's share of the limit) or hold")
	fs.DurationVar(&f.lease, "lease", 3*time.Second, "how long a replica that says nothing keeps its slots")
	f.fleet.add(fs)
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&f.logFormat, "log-format", "console", "console or json")
	return cmd
}

// defaultReplica is the host's name and the process's number.
func defaultReplica() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "weir"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

func (f *serveFlags) validate() error {
	switch {
	case len(f.upstreams) == 0:
		return errors.New("--upstream: name at least one model server, such as http://127.0.0.1:8000")
	case f.replica == "" || len(f.replica) > 128 || strings.ContainsAny(f.replica, " \t\n{}:"):
		return fmt.Errorf("--replica-id %q: give 1 to 128 characters without spaces, braces and colons", f.replica)
	case f.ttl < 0:
		return fmt.Errorf("--request-ttl %v: must not be negative", f.ttl)
	case f.maxQueued < 0:
		return fmt.Errorf("--max-queued %d: must not be negative", f.maxQueued)
	case f.maxBody < 1 || f.maxBody > 1<<30:
		return fmt.Errorf("--max-body %d: must be from 1 to %d", f.maxBody, 1<<30)
	case f.onStoreOutage != "share" && f.onStoreOutage != "hold":
		return fmt.Errorf("--on-store-outage %q: share or hold", f.onStoreOutage)
	case f.lease < 100*time.Millisecond || f.lease > time.Hour:
		return fmt.Errorf("--lease %v: must be from 100ms to 1h", f.lease)
	case f.drain < 0:
		return fmt.Errorf("--drain-timeout %v: must not be negative", f.drain)
	}
	return f.fleet.validate(f.redis.URL)
}

func serve(cmd *cobra.Command, f *serveFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	log, err := newLogger(f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	defer log.Sync() //nolint:errcheck // stderr may not support it
	metrics := gateway.NewMetrics(f.redis.Pool)
	options, err := f.controllerOptions()
	if err != nil {
		return err
	}
	ledger, err := f.openLedger(cmd.Context())
	if err != nil {
		return err
	}
	defer ledger.Close() //nolint:errcheck // nothing is kept
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if f.fleet.gossip != "" {
		if err := exportMemberlist(registry); err != nil {
			return err
		}
	}
	incarnation := uint64(time.Now().UnixNano())
	fleet, err := f.fleet.open(f.replica, incarnation, f.lease, log)
	if err != nil {
		return err
	}
	options = append(options, controller.WithLogger(log), controller.WithObserver(metrics), controller.WithIncarnation(incarnation))
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	if fleet != nil {
		if _, err := fleet.Join(ctx); err != nil {
			return errors.Join(fmt.Errorf("--replica-id %s: %w", f.replica, err), fleet.Leave(ctx))
		}
		options = append(options, controller.WithFleet(fleet))
	}
	c, err := controller.NewController(ledger, options...)
	if err != nil {
		return err
	}
	defer c.Close()
	metrics.Watch(c)
	g, err := gateway.New(gateway.Config{
		Controller: c, Upstreams: f.upstreams, MaxBody: f.maxBody, Logger: log, Metrics: metrics,
	})
	if err != nil {
		return fmt.Errorf("--upstream: %w", err)
	}
	defer g.Close()

	admin := gateway.NewAdmin(g, f.replica, registry)
	requests, err := listenOn("--listen", f.listen)
	if err != nil {
		return err
	}
	operators, err := listenOn("--admin", f.admin)
	if err != nil {
		_ = requests.Close()
		return err
	}
	adminServer := &http.Server{Handler: admin, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() { _ = adminServer.Serve(operators) }() // to the very end, so that a drain can be watched
	defer adminServer.Close()                        //nolint:errcheck // the process ends
	admin.SetReady(true)
	go func() { // ends with ctx
		select {
		case <-ctx.Done():
		case <-c.Superseded():
			cancel(fmt.Errorf("--replica-id %s: %w", f.replica, store.ErrSuperseded))
		}
		admin.SetReady(false)
		log.Info("draining", zap.Duration("at_most", f.drain))
		c.Retire()
	}()
	gossipAddress := ""
	if fleet != nil {
		gossipAddress = fleet.Address()
	}
	log.Info("serving", zap.String("replica", f.replica), zap.Stringer("listen", requests.Addr()),
		zap.Stringer("admin", operators.Addr()), zap.String("gossip", gossipAddress), zap.Strings("upstreams", f.upstreams),
		zap.Int("limit", len(f.upstreams)*f.maxConcurrency), zap.String("fairness", f.fairness))
	return serveUntil(ctx, f.drain, &http.Server{
		Handler: g, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: zap.NewStdLog(log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))),
	}, requests, c.Drain)
}

// controllerOptions builds the plug-ins that the flags name.
func (f *serveFlags) controllerOptions() ([]controller.Option, error) {
	plugins := policies.NewSet(builtin.Registry())
	fair, err := plugins.Fairness(f.fairness)
	if err != nil {
		return nil, fmt.Errorf("--fairness: %w; known types: %s", err, strings.Join(builtin.Registry().Types(), ", "))
	}
	detector, err := saturation.NewConcurrency(saturation.ConcurrencyType, saturation.ConcurrencyParameters{MaxConcurrency: f.maxConcurrency})
	if err != nil {
		return nil, fmt.Errorf("--max-concurrency: %w", err)
	}
	outage := core.Share
	if f.onStoreOutage == "hold" {
		outage = core.Hold
	}
	return []controller.Option{
		controller.WithReplica(f.replica),
		controller.WithDefaultBand(shard.BandConfig{Fairness: fair}),
		controller.WithSaturationDetector(detector),
		controller.WithTTL(f.ttl, f.ttl),
		controller.WithCapacity(f.maxQueued, 0),
		controller.WithLease(f.lease),
		controller.WithStoreOutage(outage, 500*time.Millisecond),
	}, nil
}

// openLedger opens the ledger that the flags name.
func (f *serveFlags) openLedger(ctx context.Context) (store.Ledger, error) {
	if f.redis.URL == "" {
		return memory.New(memory.Config{Timings: store.Timings{Lease: f.lease}}), nil
	}
	opening, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cfg := f.redis
	cfg.Lease = f.lease
	l, err := redis.Open(opening, cfg)
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	return l, nil
}

func newLogger(level, format string) (*zap.Logger, error) {
	parsed, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	cfg := zap.NewProductionConfig()
	cfg.Level = zap.NewAtomicLevelAt(parsed)
	cfg.DisableCaller, cfg.DisableStacktrace, cfg.Sampling = true, true, nil
	cfg.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	switch format {
	case "json":
	case "console":
		cfg.Encoding = "console"
		cfg.EncoderConfig.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	default:
		return nil, fmt.Errorf("--log-format %q: console or json", format)
	}
	return cfg.Build()
}
