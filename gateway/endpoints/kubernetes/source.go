package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/rewrites"
)

// Config describes a Source.
type Config struct {
	// Namespace and Name are the InferencePool's.
	Namespace, Name string
	// REST says how the API server is reached; see Connect.
	REST *rest.Config
	// Objectives is told the priorities of the pool's InferenceObjectives by name,
	// whenever one changes; nil if nobody asks.
	Objectives func(map[string]int)
	// Rewrites is told the rules of the pool's InferenceModelRewrites, whenever one changes; nil
	// if nobody asks.
	Rewrites func([]rewrites.Rule)
	// Retry is how often kinds that the API server does not serve are asked for
	// again, and how long a failed watch rests at most; 10 s by default.
	Retry time.Duration
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
}

// Source is an endpoints.Source of a pool's pods.
type Source struct {
	cfg        Config
	client     dynamic.Interface
	pods       *table[pod]
	pools      []*table[pool]      // they only have objects of the pool's name; the first that has one holds
	objectives []*table[objective] // the first that has an object of a name holds
	rewrites   []*table[rewrite]   // and so with these
	changed    chan struct{}
	last       string // what was last told

	mu   sync.Mutex
	said map[string]time.Time // when problems were logged
}

// Connect returns how to reach the API server: as a kubeconfig file says, or as a
// pod's service account if the file's name is empty.
func Connect(kubeconfig string) (*rest.Config, error) {
	if kubeconfig != "" {
		c, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("weir.discovery.kubeconfig: %w", err)
		}
		return c, nil
	}
	c, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("this is no pod of a cluster, so weir.discovery.kubeconfig must name a kubeconfig file: %w", err)
	}
	return c, nil
}

// New returns a source. The API server need not be there yet.
func New(cfg Config) (*Source, error) {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Retry <= 0 {
		cfg.Retry = 10 * time.Second
	}
	if cfg.Objectives == nil {
		cfg.Objectives = func(map[string]int) {}
	}
	if cfg.Rewrites == nil {
		cfg.Rewrites = func([]rewrites.Rule) {}
	}
	client, err := dynamic.NewForConfig(cfg.REST)
	if err != nil {
		return nil, fmt.Errorf("reach the Kubernetes API server at %s: %w", cfg.REST.Host, err)
	}
	s := &Source{cfg: cfg, client: client, changed: make(chan struct{}, 1), said: make(map[string]time.Time)}
	s.pods = newTable(s, podKind, readPod)
	s.pools = []*table[pool]{newTable(s, poolKind, readPool), newTable(s, alphaPoolKind, readAlphaPool)}
	s.objectives = []*table[objective]{newTable(s, llmdObjectiveKind, readObjective), newTable(s, objectiveKind, readObjective)}
	s.rewrites = []*table[rewrite]{newTable(s, llmdRewriteKind, readRewrite), newTable(s, rewriteKind, readRewrite)}
	return s, nil
}

// Run implements endpoints.Source.
func (s *Source) Run(ctx context.Context, update func([]endpoints.Spec)) error {
	var watches sync.WaitGroup
	defer watches.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.watch(ctx, &watches)
	for {
		switch specs, err := s.specs(); {
		case errors.Is(err, errNotListed):
		case err != nil:
			s.say("the pool's endpoints are not known; they stay as they are", err)
		default:
			s.tell(specs, update)
			s.cfg.Objectives(s.priorities())
			s.cfg.Rewrites(s.rules())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		case <-time.After(s.cfg.Retry): // what lasts is said again
		}
	}
}

// watch begins to follow every kind.
func (s *Source) watch(ctx context.Context, watches *sync.WaitGroup) {
	watches.Go(func() { s.pods.follow(ctx, s.client, s.cfg.Namespace, "", s.cfg.Retry) })
	for _, t := range s.pools {
		watches.Go(func() { t.follow(ctx, s.client, s.cfg.Namespace, s.cfg.Name, s.cfg.Retry) })
	}
	for _, t := range s.rewrites {
		watches.Go(func() { t.follow(ctx, s.client, s.cfg.Namespace, "", s.cfg.Retry) })
	}
	for _, t := range s.objectives {
		watches.Go(func() { t.follow(ctx, s.client, s.cfg.Namespace, "", s.cfg.Retry) })
	}
}

// tell tells of the endpoints if they are others than before.
func (s *Source) tell(specs []endpoints.Spec, update func([]endpoints.Spec)) {
	var text strings.Builder
	text.WriteString("endpoints:")
	for i := range specs {
		fmt.Fprintf(&text, " %s=%s%v", specs[i].Name, specs[i].Address(), specs[i].Labels)
	}
	if text.String() != s.last {
		s.last = text.String()
		update(specs)
	}
}

func (s *Source) change() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

var (
	// errNoPool says that there is no such pool. It has no endpoints, then.
	errNoPool = errors.New("there is no such InferencePool")
	// errNotListed says that a first list has not come yet.
	errNotListed = errors.New("not listed yet")
)

// specs lists the pool's ready pods, by name.
func (s *Source) specs() ([]endpoints.Spec, error) {
	p, err := s.pool()
	if errors.Is(err, errNoPool) {
		s.say("the pool has no endpoints", fmt.Errorf("%s/%s: %w", s.cfg.Namespace, s.cfg.Name, err))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch known, why := s.pods.state(); known {
	case notListed:
		return nil, errNotListed
	case notServed:
		return nil, fmt.Errorf("list pods: %w", why)
	}
	pods := s.pods.all()
	var specs []endpoints.Spec
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		if err := pods[name].err; err != nil {
			s.say("a pod is left out", fmt.Errorf("%s/%s: %w", s.cfg.Namespace, name, err))
			continue
		}
		if pod := pods[name].value; pod.address != "" && p.selector.Matches(pod.labels) {
			specs = append(specs, s.endpoints(name, pod, p.ports)...)
		}
	}
	return specs, nil
}

// endpoints are a pod's: one for each port at which it serves.
func (s *Source) endpoints(name string, pod pod, ports []string) []endpoints.Spec {
	name = s.cfg.Namespace + "/" + name
	specs := make([]endpoints.Spec, 0, len(ports))
	for rank, port := range ports {
		if !pod.serves(port) {
			continue
		}
		full := name
		if len(ports) > 1 {
			full += "-rank-" + strconv.Itoa(rank)
		}
		spec := endpoints.At(full, "http", pod.address, port)
		spec.Labels = pod.labels
		specs = append(specs, spec)
	}
	return specs
}

// pool returns the InferencePool, of the first version that has it.
func (s *Source) pool() (pool, error) {
	var refused error
	served := false
	for _, t := range s.pools {
		switch known, why := t.state(); known {
		case notListed:
			return pool{}, errNotListed
		case notServed:
			if refused == nil || apierrors.IsNotFound(refused) {
				refused = why
			}
		case listed:
			served = true
			if found, there := t.all()[s.cfg.Name]; there {
				if found.err != nil {
					return pool{}, fmt.Errorf("the InferencePool %s/%s: %w", s.cfg.Namespace, s.cfg.Name, found.err)
				}
				return found.value, nil
			}
		}
	}
	switch {
	case served:
		return pool{}, errNoPool
	case apierrors.IsNotFound(refused):
		return pool{}, errors.New("the API server does not serve InferencePools: install the custom resources of the Gateway API Inference Extension")
	}
	return pool{}, fmt.Errorf("list InferencePools: %w", refused)
}

// priorities are those of the pool's InferenceObjectives by name.
func (s *Source) priorities() map[string]int {
	priorities := make(map[string]int)
	for _, t := range s.objectives {
		for name, o := range t.all() {
			if o.err != nil {
				s.say("an InferenceObjective is left out", fmt.Errorf("%s/%s: %w", s.cfg.Namespace, name, o.err))
				continue
			}
			if _, known := priorities[name]; !known && (o.value.pool == "" || o.value.pool == s.cfg.Name) {
				priorities[name] = o.value.priority
			}
		}
	}
	return priorities
}

// sayEvery is how often a problem that lasts is logged.
const sayEvery = time.Minute

// say logs a problem, but not the same again and again.
func (s *Source) say(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := what + err.Error()
	if now := time.Now(); now.Sub(s.said[text]) >= sayEvery {
		if len(s.said) >= 100 {
			clear(s.said)
		}
		s.said[text] = now
		s.cfg.Logger.Warn(what, zap.Error(err))
	}
}
