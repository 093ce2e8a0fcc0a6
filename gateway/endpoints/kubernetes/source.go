package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/weirflow/weir/gateway/endpoints"
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
	// Retry is how often kinds that the API server does not serve are asked for
	// again, and how long a failed watch rests at most; 10 s by default.
	Retry time.Duration
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
}

// Source is an endpoints.Source of a pool's pods.
type Source struct {
	cfg       Config
	pools     cache.Cache // only has objects of the pool's name
	others    cache.Cache
	changed   chan struct{}
	informers map[schema.GroupVersionKind]cache.Informer // of the kinds that are served
	last      string                                     // what was last told

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
func New(cfg Config) *Source {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Retry <= 0 {
		cfg.Retry = 10 * time.Second
	}
	if cfg.Objectives == nil {
		cfg.Objectives = func(map[string]int) {}
	}
	return &Source{
		cfg: cfg, changed: make(chan struct{}, 1), informers: make(map[schema.GroupVersionKind]cache.Informer), said: make(map[string]time.Time),
	}
}

// Run implements endpoints.Source.
func (s *Source) Run(ctx context.Context, update func([]endpoints.Spec)) error {
	for s.others == nil {
		if err := s.open(); err != nil {
			s.say("the API server is not reached yet", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(min(time.Second, s.cfg.Retry)):
			}
		}
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 2)
	for _, c := range []cache.Cache{s.pools, s.others} {
		go func() { ended <- c.Start(ctx) }()
	}
	defer func() { stop(); <-ended; <-ended }()
	for {
		s.watch(ctx)
		pause := s.cfg.Retry
		switch specs, err := s.specs(ctx); {
		case errors.Is(err, errNotSynced):
			pause = syncPause
		case err != nil && ctx.Err() == nil:
			s.say("the pool's endpoints are not known; they stay as they are", err)
		case err == nil:
			s.tell(specs, update)
			s.cfg.Objectives(s.objectives(ctx))
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			ended <- err
			if ctx.Err() != nil {
				return nil // both ended at once
			}
			return fmt.Errorf("watch the InferencePool: %w", err)
		case <-s.changed:
		case <-time.After(pause):
		}
	}
}

// syncPause is how long the first lists are waited for before another look.
const syncPause = 50 * time.Millisecond

// tell tells of the endpoints if they are others than before.
func (s *Source) tell(specs []endpoints.Spec, update func([]endpoints.Spec)) {
	text := "endpoints:"
	for i := range specs {
		text += fmt.Sprintf(" %s=%s%v", specs[i].Name, specs[i].Address(), specs[i].Labels)
	}
	if text != s.last {
		s.last = text
		update(specs)
	}
}

// open makes the caches. What is kept of a pod is what matters here.
func (s *Source) open() error {
	options := func(c cache.Config) cache.Options {
		return cache.Options{
			Scheme: scheme(), DefaultNamespaces: map[string]cache.Config{s.cfg.Namespace: c}, ReaderFailOnMissingInformer: true,
			ByObject: map[client.Object]cache.ByObject{&corev1.Pod{}: {Transform: strip}},
			DefaultWatchErrorHandler: func(_ context.Context, _ *toolscache.Reflector, err error) {
				s.say("a watch broke; what is known stays", err)
			},
		}
	}
	var err error
	if s.pools, err = cache.New(s.cfg.REST, options(cache.Config{FieldSelector: fields.OneTermEqualSelector("metadata.name", s.cfg.Name)})); err != nil {
		return err
	}
	s.others, err = cache.New(s.cfg.REST, options(cache.Config{}))
	return err
}

func scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		panic(err) // its types are registered twice
	}
	return scheme
}

func object(kind schema.GroupVersionKind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	return u
}

// strip keeps what matters of a pod.
func strip(o any) (any, error) {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	kept := &corev1.Pod{}
	kept.Namespace, kept.Name, kept.UID, kept.ResourceVersion = p.Namespace, p.Name, p.UID, p.ResourceVersion
	kept.Labels, kept.DeletionTimestamp = p.Labels, p.DeletionTimestamp
	kept.Status.PodIP, kept.Status.Conditions = p.Status.PodIP, p.Status.Conditions
	return kept, nil
}

// watch begins to watch the kinds that are served and not watched yet.
func (s *Source) watch(ctx context.Context) {
	objects := []client.Object{&corev1.Pod{}}
	for _, kind := range slices.Concat(poolKinds, objectiveKinds) {
		objects = append(objects, object(kind))
	}
	for _, o := range objects {
		kind := o.GetObjectKind().GroupVersionKind() // empty for pods
		if s.informers[kind] != nil {
			continue
		}
		from := s.others
		if slices.Contains(poolKinds, kind) {
			from = s.pools
		}
		informer, err := from.GetInformer(ctx, o, cache.BlockUntilSynced(false))
		if meta.IsNoMatchError(err) {
			continue // not installed, perhaps later
		}
		if err == nil {
			_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
				AddFunc: func(any) { s.change() }, UpdateFunc: func(any, any) { s.change() }, DeleteFunc: func(any) { s.change() },
			})
		}
		if err != nil {
			if ctx.Err() == nil {
				s.say("a kind cannot be watched", fmt.Errorf("%s: %w", kind.Kind, err))
			}
			continue
		}
		s.informers[kind] = informer
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
	// errNotSynced says that a first list has not come yet.
	errNotSynced = errors.New("not listed yet")
)

// synced reports whether objects of a kind have been listed.
func (s *Source) synced(kind schema.GroupVersionKind) bool {
	informer := s.informers[kind]
	return informer != nil && informer.HasSynced()
}

// specs lists the pool's ready pods.
func (s *Source) specs(ctx context.Context) ([]endpoints.Spec, error) {
	p, err := s.pool(ctx)
	if errors.Is(err, errNoPool) {
		s.say("the pool has no endpoints", fmt.Errorf("%s/%s: %w", s.cfg.Namespace, s.cfg.Name, err))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !s.synced(schema.GroupVersionKind{}) {
		return nil, errNotSynced
	}
	var pods corev1.PodList
	if err := s.others.List(ctx, &pods, client.InNamespace(s.cfg.Namespace), client.MatchingLabelsSelector{Selector: p.selector}); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	var specs []endpoints.Spec
	for i := range pods.Items {
		pod := &pods.Items[i]
		if !ready(pod) {
			continue
		}
		for rank, port := range p.ports {
			name := pod.Namespace + "/" + pod.Name
			if len(p.ports) > 1 {
				name += fmt.Sprintf("-rank-%d", rank)
			}
			spec := endpoints.At(name, "http", pod.Status.PodIP, port)
			spec.Labels = pod.Labels
			specs = append(specs, spec)
		}
	}
	return specs, nil
}

// pool reads the InferencePool.
func (s *Source) pool(ctx context.Context) (*pool, error) {
	looked := false
	for _, kind := range poolKinds {
		if s.informers[kind] == nil {
			continue
		}
		if !s.synced(kind) {
			return nil, errNotSynced
		}
		u := object(kind)
		err := s.pools.Get(ctx, client.ObjectKey{Namespace: s.cfg.Namespace, Name: s.cfg.Name}, u)
		switch {
		case err == nil:
			return readPool(u)
		case apierrors.IsNotFound(err):
			looked = true
		default:
			return nil, fmt.Errorf("get the InferencePool: %w", err)
		}
	}
	if !looked {
		return nil, errors.New("the API server does not serve InferencePools: install the custom resources of the Gateway API Inference Extension")
	}
	return nil, errNoPool
}

// ready reports whether a pod takes requests. One that is being deleted finishes what
// it has.
func ready(p *corev1.Pod) bool {
	if p.Status.PodIP == "" || p.DeletionTimestamp != nil {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// objectives lists the priorities of the pool's InferenceObjectives.
func (s *Source) objectives(ctx context.Context) map[string]int {
	priorities := make(map[string]int)
	for _, kind := range objectiveKinds {
		if !s.synced(kind) {
			continue
		}
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := s.others.List(ctx, list, client.InNamespace(s.cfg.Namespace)); err != nil {
			s.say("objectives cannot be listed", err)
			continue
		}
		for i := range list.Items {
			u := &list.Items[i]
			if _, known := priorities[u.GetName()]; known {
				continue
			}
			if priority, ours := priorityOf(u, s.cfg.Name); ours {
				priorities[u.GetName()] = priority
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
