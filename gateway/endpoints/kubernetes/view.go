package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// view is what the API server says of a namespace, or of all of them. Sources may share one.
type view struct {
	client    dynamic.Interface
	namespace string // empty for all
	which     filter // of InferencePools
	retry     time.Duration
	log       *zap.Logger

	pods       *table[pod]
	pools      []*table[pool]      // the first that has a pool holds
	objectives []*table[objective] // and so with these
	rewrites   []*table[rewrite]

	mu   sync.Mutex
	told map[chan struct{}]bool
	said map[string]time.Time // when problems were logged
}

func newView(to *rest.Config, namespace string, which filter, retry time.Duration, log *zap.Logger) (*view, error) {
	client, err := dynamic.NewForConfig(to)
	if err != nil {
		return nil, fmt.Errorf("reach the Kubernetes API server at %s: %w", to.Host, err)
	}
	v := &view{client: client, namespace: namespace, which: which, retry: retry, log: log, told: make(map[chan struct{}]bool), said: make(map[string]time.Time)}
	if v.log == nil {
		v.log = zap.NewNop()
	}
	if v.retry <= 0 {
		v.retry = 10 * time.Second
	}
	v.pods = newTable(v, podKind, readPod)
	v.pools = []*table[pool]{newTable(v, poolKind, readPool), newTable(v, alphaPoolKind, readAlphaPool)}
	v.objectives = []*table[objective]{newTable(v, llmdObjectiveKind, readObjective), newTable(v, objectiveKind, readObjective)}
	v.rewrites = []*table[rewrite]{newTable(v, llmdRewriteKind, readRewrite), newTable(v, rewriteKind, readRewrite)}
	return v, nil
}

// follow begins to keep the view up to date. The returned function ends that, and waits.
func (v *view) follow(ctx context.Context) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	var watches sync.WaitGroup
	watches.Go(func() { v.pods.follow(ctx, v.client, v.namespace, filter{}, v.retry) })
	for _, t := range v.pools {
		watches.Go(func() { t.follow(ctx, v.client, v.namespace, v.which, v.retry) })
	}
	for _, t := range v.rewrites {
		watches.Go(func() { t.follow(ctx, v.client, v.namespace, filter{}, v.retry) })
	}
	for _, t := range v.objectives {
		watches.Go(func() { t.follow(ctx, v.client, v.namespace, filter{}, v.retry) })
	}
	return func() {
		stop()
		watches.Wait()
	}
}

// tells returns a channel that receives after changes, until forget is called.
func (v *view) tells() (changed <-chan struct{}, forget func()) {
	c := make(chan struct{}, 1)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.told[c] = true
	return c, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.told, c)
	}
}

func (v *view) change() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for c := range v.told {
		select {
		case c <- struct{}{}:
		default: // it has yet to look
		}
	}
}

var (
	// errNoPool says that there is no such pool. It has no endpoints, then.
	errNoPool = errors.New("there is no such InferencePool")
	// errNotListed says that a first list has not come yet.
	errNotListed = errors.New("not listed yet")
)

// pool returns an InferencePool, of the first version that has it.
func (v *view) pool(of id) (pool, error) {
	var refused error
	served := false
	for _, t := range v.pools {
		switch known, why := t.state(); known {
		case notListed:
			return pool{}, errNotListed
		case notServed:
			if refused == nil || apierrors.IsNotFound(refused) {
				refused = why
			}
		case listed:
			served = true
			if found, there := t.one(of); there {
				if found.err != nil {
					return pool{}, fmt.Errorf("the InferencePool %s: %w", of, found.err)
				}
				return found.value, nil
			}
		}
	}
	if served {
		return pool{}, fmt.Errorf("%s: %w", of, errNoPool)
	}
	return pool{}, notListing(refused)
}

// notListing says why there is no list of InferencePools.
func notListing(refused error) error {
	if apierrors.IsNotFound(refused) {
		return errors.New("the API server does not serve InferencePools: install the custom resources of the Gateway API Inference Extension")
	}
	return fmt.Errorf("list InferencePools: %w", refused)
}

// sayEvery is how often a problem that lasts is logged.
const sayEvery = time.Minute

// say logs a problem, but not the same again and again.
func (v *view) say(what string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	text := what + err.Error()
	if now := time.Now(); now.Sub(v.said[text]) >= sayEvery {
		if len(v.said) >= 100 {
			clear(v.said)
		}
		v.said[text] = now
		v.log.Warn(what, zap.Error(err))
	}
}
