package app

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/saturation"
)

// serveFlags are the flags of weir serve. A flag that is given overrides what the
// configuration file says.
type serveFlags struct {
	file                string
	upstreams           []string
	endpointsFile       string
	endpointsDNS        string
	inferencePool       string
	kubeconfig          string
	maxConcurrency      int
	listen, admin       string
	extProc             string
	extProcCert         string
	extProcKey          string
	fairness            string
	replica, pool       string
	ttl, drain          time.Duration
	maxQueued           int64
	maxBody             int64
	redis               string
	redisPassword       string
	redisPrefix         string
	onStoreOutage       string
	lease               time.Duration
	fleet               fleetFlags
	logLevel, logFormat string

	registry *policies.Registry
	changed  func(flag string) bool
}

func newServe(registry *policies.Registry) *cobra.Command {
	f := serveFlags{registry: registry}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a replica in front of model servers",
		Long: `Run a replica in front of model servers, as a configuration file says, as flags
say, or both: a flag that is given overrides the file. The file is read again on
SIGHUP and when it changes.`,
		Example: `  weir modelserver --listen 127.0.0.1:8000
  weir serve --upstream http://127.0.0.1:8000 --max-concurrency 8 --fairness round-robin-fairness-policy
  weir serve --config weir.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), &f) },
	}
	fs := cmd.Flags()
	f.changed = fs.Changed
	fs.StringVar(&f.file, "config", "", "configuration file: an EndpointPickerConfig; see weir config")
	fs.StringArrayVar(&f.upstreams, "upstream", nil, "URL of a model server; may be repeated")
	fs.StringVar(&f.endpointsFile, "endpoints-file", "", "YAML file with the model servers, read again when it changes; instead of --upstream")
	fs.StringVar(&f.endpointsDNS, "endpoints-dns", "", "host name and port whose addresses are the model servers; instead of --upstream")
	fs.StringVar(&f.inferencePool, "inference-pool", "", "NAMESPACE/NAME of a Kubernetes InferencePool whose pods are the model servers; instead of --upstream")
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig file for --inference-pool; the pod's service account by default")
	fs.IntVar(&f.maxConcurrency, "max-concurrency", 100, "requests in flight for each model server; with --config and without this flag the file's detector decides")
	fs.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address for requests")
	fs.StringVar(&f.admin, "admin", "127.0.0.1:9090", "address for metrics, health and debugging")
	fs.StringVar(&f.extProc, "ext-proc", "", "address for Envoy's external processing, such as 127.0.0.1:9002; none by default")
	fs.StringVar(&f.extProcCert, "ext-proc-cert", "", "certificate file of --ext-proc; with --ext-proc-key it speaks TLS")
	fs.StringVar(&f.extProcKey, "ext-proc-key", "", "key file of --ext-proc-cert")
	fs.StringVar(&f.fairness, "fairness", fairness.GlobalStrictType, "fairness policy of the default band")
	fs.StringVar(&f.replica, "replica-id", "", "id of this replica, unique in the fleet; host name and process number by default")
	fs.DurationVar(&f.ttl, "request-ttl", time.Minute, "how long a request may wait; 0 for ever")
	fs.Int64Var(&f.maxQueued, "max-queued", 0, "requests that may wait in all bands together; 0 for the bands' own limits only")
	fs.Int64Var(&f.maxBody, "max-body", 32<<20, "largest request body in bytes")
	fs.DurationVar(&f.drain, "drain-timeout", 30*time.Second, "how long requests may go on after SIGTERM")
	fs.StringVar(&f.redis, "redis", "", "URL of the Redis that replicas share, such as redis://127.0.0.1:6379; without it the ledger is in this process's memory")
	fs.StringVar(&f.redisPassword, "redis-password-file", "", "file with Redis's password; without it WEIR_REDIS_PASSWORD is taken")
	fs.StringVar(&f.redisPrefix, "redis-prefix", "weir:", "start of every key")
	fs.StringVar(&f.pool, "pool", "default", "name of the pool; replicas of one pool share a ledger")
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

// validate checks what is better said in the flags' own words.
func (f *serveFlags) validate() error {
	switch {
	case f.changed("replica-id") && (f.replica == "" || len(f.replica) > 128 || strings.ContainsAny(f.replica, " \t\n{}:")):
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
	return f.fleet.validate(f)
}

// plan reads the configuration file, if there is one, and puts the flags over it.
func (f *serveFlags) plan() (*config.Plan, config.Problems, error) {
	if err := f.validate(); err != nil {
		return nil, nil, err
	}
	var plan *config.Plan
	var warnings config.Problems
	var err error
	if f.file == "" {
		plan, warnings, err = config.Parse([]byte(config.Empty), f.registry, f.override)
	} else if plan, warnings, err = config.Load(f.file, f.registry, f.override); err != nil {
		err = fmt.Errorf("--config %s:\n%w", f.file, err)
	}
	if err != nil {
		return nil, nil, err
	}
	if plan.File.Weir.EndpointPlaces() == 0 {
		return nil, nil, errors.New("--upstream: name at least one model server, such as http://127.0.0.1:8000, here or in weir.endpoints of the configuration file, or where they come from: --endpoints-file, --endpoints-dns or --inference-pool")
	}
	return plan, warnings, nil
}

// override puts the flags that were given over what a file says.
func (f *serveFlags) override(file *config.File) {
	w, fc := &file.Weir, &file.FlowControl
	if f.changed("upstream") || f.changed("endpoints-file") || f.changed("endpoints-dns") || f.changed("inference-pool") {
		w.Endpoints, w.Discovery = nil, config.Discovery{
			File: f.endpointsFile, DNS: f.endpointsDNS, DNSInterval: w.Discovery.DNSInterval,
			InferencePool: f.inferencePool, Kubeconfig: w.Discovery.Kubeconfig,
		}
		for _, u := range f.upstreams {
			w.Endpoints = append(w.Endpoints, config.Endpoint{URL: u})
		}
	}
	if f.file == "" || f.changed("max-concurrency") {
		parameters, err := config.NewRaw(map[string]int{"maxConcurrency": f.maxConcurrency})
		if err != nil {
			panic(err) // a number
		}
		const name = "--max-concurrency"
		file.Plugins = append(file.Plugins, config.Plugin{Name: name, Type: saturation.ConcurrencyType, Parameters: parameters})
		file.SaturationDetector, fc.SaturationDetector = nil, &config.PluginRef{PluginRef: name}
	}
	if f.changed("fairness") {
		if fc.DefaultPriorityBand == nil {
			fc.DefaultPriorityBand = &config.Band{}
		}
		fc.DefaultPriorityBand.FairnessPolicyRef = f.fairness
	}
	if f.changed("request-ttl") {
		ttl := config.Duration(f.ttl)
		fc.DefaultRequestTTL, fc.NoEndpointRequestTTL = &ttl, &ttl
	}
	if f.changed("max-queued") {
		fc.MaxRequests = config.Quantity(f.maxQueued)
	}
	if f.changed("max-body") {
		w.MaxBody = config.Quantity(f.maxBody)
	}
	for flag, field := range map[string]struct{ to, from *string }{
		"kubeconfig": {&w.Discovery.Kubeconfig, &f.kubeconfig}, "listen": {&w.Listen, &f.listen}, "admin": {&w.Admin, &f.admin},
		"ext-proc": {&w.ExtProc.Listen, &f.extProc}, "ext-proc-cert": {&w.ExtProc.Cert, &f.extProcCert}, "ext-proc-key": {&w.ExtProc.Key, &f.extProcKey},
		"replica-id": {&w.Replica, &f.replica}, "pool": {&w.Pool, &f.pool},
		"redis": {&w.Store.Redis, &f.redis}, "redis-password-file": {&w.Store.PasswordFile, &f.redisPassword},
		"redis-prefix": {&w.Store.Prefix, &f.redisPrefix}, "on-store-outage": {&w.Store.OnOutage, &f.onStoreOutage},
	} {
		if f.changed(flag) {
			*field.to = *field.from
		}
	}
	for flag, field := range map[string]struct {
		to   **config.Duration
		from time.Duration
	}{"drain-timeout": {&w.DrainTimeout, f.drain}, "lease": {&w.Store.Lease, f.lease}} {
		if f.changed(flag) {
			d := config.Duration(field.from)
			*field.to = &d
		}
	}
	f.fleet.override(&w.Fleet, f.changed)
	if w.Replica == "" {
		w.Replica = defaultReplica()
	}
}
