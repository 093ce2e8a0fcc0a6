package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
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
	cfg  Config
	view *view
	// shared says that the view is there anyway, and that the pool ends elsewhere once its
	// InferencePool is gone: until then its endpoints stay.
	shared bool
	last   string // what was last told
}

// Connect returns how to reach the API server: as a kubeconfig file says, or as a
// pod's service account if the file's name is empty.
func Connect(kubeconfig string) (*rest.Config, error) {
	if kubeconfig != "" {
		c, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("read how the cluster is reached: %w", err)
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
	v, err := newView(cfg.REST, cfg.Namespace, filter{name: cfg.Name}, cfg.Retry, cfg.Logger)
	if err != nil {
		return nil, err
	}
	return newSource(cfg, v), nil
}

func newSource(cfg Config, v *view) *Source {
	if cfg.Objectives == nil {
		cfg.Objectives = func(map[string]int) {}
	}
	if cfg.Rewrites == nil {
		cfg.Rewrites = func([]rewrites.Rule) {}
	}
	return &Source{cfg: cfg, view: v}
}

// Run implements endpoints.Source.
func (s *Source) Run(ctx context.Context, update func([]endpoints.Spec)) error {
	if !s.shared {
		defer s.view.follow(ctx)()
	}
	changed, forget := s.view.tells()
	defer forget()
	for {
		specs, err := s.specs()
		if errors.Is(err, errNoPool) && !s.shared {
			s.view.say("the pool has no endpoints", err)
			specs, err = nil, nil
		}
		switch {
		case errors.Is(err, errNotListed), errors.Is(err, errNoPool):
		case err != nil:
			s.view.say("the pool's endpoints are not known; they stay as they are", err)
		default:
			s.tell(specs, update)
			s.cfg.Objectives(s.priorities())
			s.cfg.Rewrites(s.rules())
		}
		if s.shared {
			pause(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(s.view.retry): // what lasts is said again
		}
	}
}

// sharedPause is how long a source of many waits after it has looked, so that each of the pods
// that come in a crowd does not have every one of them look again.
const sharedPause = 200 * time.Millisecond

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(sharedPause):
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

// specs lists the pool's ready pods, by name.
func (s *Source) specs() ([]endpoints.Spec, error) {
	p, err := s.view.pool(id{s.cfg.Namespace, s.cfg.Name})
	if err != nil {
		return nil, err
	}
	switch known, why := s.view.pods.state(); known {
	case notListed:
		return nil, errNotListed
	case notServed:
		return nil, fmt.Errorf("list pods: %w", why)
	}
	pods := s.view.pods.in(s.cfg.Namespace, func(pod *pod) bool { return pod.address != "" && p.selector.Matches(pod.labels) })
	var specs []endpoints.Spec
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		if err := pods[name].err; err != nil {
			s.view.say("a pod is left out", fmt.Errorf("%s/%s: %w", s.cfg.Namespace, name, err))
			continue
		}
		specs = append(specs, s.endpoints(name, pods[name].value, p.ports)...)
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

// priorities are those of the pool's InferenceObjectives by name.
func (s *Source) priorities() map[string]int {
	priorities := make(map[string]int)
	for _, t := range s.view.objectives {
		for name, o := range t.in(s.cfg.Namespace, nil) {
			if o.err != nil {
				s.view.say("an InferenceObjective is left out", fmt.Errorf("%s/%s: %w", s.cfg.Namespace, name, o.err))
				continue
			}
			if _, known := priorities[name]; !known && (o.value.pool == "" || o.value.pool == s.cfg.Name) {
				priorities[name] = o.value.priority
			}
		}
	}
	return priorities
}
