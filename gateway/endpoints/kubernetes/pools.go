package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"k8s.io/client-go/rest"

	"github.com/weirflow/weir/gateway/rewrites"
)

// modelsAnnotation lists the models that are for an InferencePool, separated by commas.
const modelsAnnotation = "weirflow.github.io/models"

// PoolsConfig describes Pools.
type PoolsConfig struct {
	// Namespace is whose InferencePools are looked at; empty for those of all namespaces.
	Namespace string
	// Selector is of the labels that they must have, as kubectl takes it.
	Selector string
	// REST, Retry and Logger are as those of a [Config].
	REST   *rest.Config
	Retry  time.Duration
	Logger *zap.Logger
}

// Pools follows the InferencePools that a selector takes, and has a source of endpoints for
// each. However many there are, the API server is watched once.
type Pools struct{ view *view }

// Found is an InferencePool.
type Found struct {
	Namespace, Name string
	Models          []string // as its annotation says
	Made            time.Time
	Err             error // why it can have no endpoints; nil if it can
}

// NewPools returns those of a configuration. The API server need not be there yet.
func NewPools(cfg PoolsConfig) (*Pools, error) {
	v, err := newView(cfg.REST, cfg.Namespace, filter{labels: cfg.Selector}, cfg.Retry, cfg.Logger)
	if err != nil {
		return nil, err
	}
	return &Pools{v}, nil
}

// Run tells of the InferencePools that there are, the oldest first, at first and after
// each change, until ctx ends. What cannot be found out stays as it was. It waits for update.
func (p *Pools) Run(ctx context.Context, update func([]Found)) {
	defer p.view.follow(ctx)()
	changed, forget := p.view.tells()
	defer forget()
	var last []Found
	for told := false; ; {
		switch found, err := p.found(); {
		case errors.Is(err, errNotListed):
		case err != nil:
			p.view.say("the InferencePools are not known; the pools stay as they are", err)
		case !told || !reflect.DeepEqual(found, last):
			told, last = true, found
			update(found)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-time.After(p.view.retry): // what lasts is said again
		}
	}
}

// found lists the InferencePools.
func (p *Pools) found() ([]Found, error) {
	all := make(map[id]Found)
	var refused error
	served := false
	for _, t := range p.view.pools {
		switch known, why := t.state(); known {
		case notListed:
			return nil, errNotListed
		case notServed:
			refused = cmp.Or(refused, why)
		case listed:
			served = true
		}
		for of, r := range t.all() {
			if _, known := all[of]; !known {
				all[of] = Found{Namespace: of.namespace, Name: of.name, Models: r.value.models, Made: r.value.made, Err: r.err}
			}
		}
	}
	if !served {
		return nil, notListing(refused)
	}
	return slices.SortedFunc(maps.Values(all), func(a, b Found) int {
		return cmp.Or(a.Made.Compare(b.Made), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	}), nil
}

// Source returns the source of an InferencePool's endpoints, which follows it while Run does.
// Once the InferencePool is gone they stay as they were: the pool ends by itself.
func (p *Pools) Source(namespace, name string, objectives func(map[string]int), rewrites func([]rewrites.Rule)) *Source {
	s := newSource(Config{Namespace: namespace, Name: name, Objectives: objectives, Rewrites: rewrites}, p.view)
	s.shared = true
	return s
}

// modelsOf reads the models that an annotation lists.
func modelsOf(annotations map[string]string) (models []string) {
	for model := range strings.SplitSeq(annotations[modelsAnnotation], ",") {
		if model = strings.TrimSpace(model); model != "" && !slices.Contains(models, model) {
			models = append(models, model)
		}
	}
	return models
}

// String is the pool's namespace and name.
func (f *Found) String() string { return fmt.Sprintf("%s/%s", f.Namespace, f.Name) }
