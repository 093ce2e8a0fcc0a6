package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes"
	"github.com/weirflow/weir/gateway/rewrites"
)

// discovery finds the pools that are not the file's: the InferencePools that a selector takes.
type discovery struct {
	pools     finder
	namespace string        // empty for all of them
	changed   chan struct{} // receives when others are there than when it was last asked

	mu    sync.Mutex
	found []kubernetes.Found
	said  map[string]string // why InferencePools are left out, as it was logged
}

// finder follows InferencePools, and has a source of endpoints for each.
type finder interface {
	// Run tells of those that there are, the oldest first, at first and after each change, until
	// ctx ends.
	Run(ctx context.Context, update func([]kubernetes.Found))
	Source(namespace, name string, objectives func(map[string]int), models func([]rewrites.Rule)) endpoints.Source
}

// cluster finds InferencePools by the API server.
type cluster struct{ *kubernetes.Pools }

func (c cluster) Source(namespace, name string, objectives func(map[string]int), models func([]rewrites.Rule)) endpoints.Source {
	return c.Pools.Source(namespace, name, objectives, models)
}

// inCluster returns a cluster as the plan says.
func inCluster(plan *config.Plan, namespace, selector string, log *zap.Logger) (finder, error) {
	to, err := connect(&plan.File.Weir.Discovery, log)
	if err != nil {
		return nil, err
	}
	pools, err := kubernetes.NewPools(kubernetes.PoolsConfig{Namespace: namespace, Selector: selector, REST: to, Logger: log})
	if err != nil {
		return nil, err
	}
	return cluster{pools}, nil
}

// firstPools is how long a replica that starts waits to be told which InferencePools there are.
const firstPools = 10 * time.Second

// discover begins to follow the InferencePools, if the plan asks for that, and has the plan be
// the one with those that there are.
func (r *replica) discover(ctx context.Context) error {
	w := &r.plan.File.Weir
	if w.InferencePools == "" {
		return nil
	}
	namespace, selector, err := config.PoolSelector(w.InferencePools)
	if err != nil {
		return err // config has checked it
	}
	pools, err := r.find(r.plan, namespace, selector, r.log)
	if err != nil {
		return err
	}
	r.discovery = &discovery{pools: pools, namespace: namespace, changed: make(chan struct{}, 1), said: make(map[string]string)}
	r.later(during(func(ctx context.Context) { pools.Run(ctx, r.discovery.take) }))
	select {
	case <-r.discovery.changed:
	case <-ctx.Done():
	case <-time.After(firstPools):
		r.log.Warn("it is not known yet which InferencePools there are; their pools come once it is")
	}
	r.plan, r.leftOut = r.discovery.beside(r.plan)
	return nil
}

// connect returns how the API server is reached.
func connect(d *config.Discovery, log *zap.Logger) (*rest.Config, error) {
	to, err := kubernetes.Connect(d.Kubeconfig)
	if err != nil {
		return nil, err
	}
	klog.SetLogger(zapr.NewLogger(log.WithOptions(zap.IncreaseLevel(zap.WarnLevel))))
	return to, nil
}

func (d *discovery) take(found []kubernetes.Found) {
	d.mu.Lock()
	d.found = found
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default: // it is about to be looked at
	}
}

// beside returns the plan with the pools that there are, and what cannot be one as it is now. Without a
// discovery the plan is as it was.
func (d *discovery) beside(plan *config.Plan) (*config.Plan, []api.LeftOut) {
	if d == nil {
		return plan, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var left []api.LeftOut
	var found []config.FoundPool
	for i := range d.found {
		f := &d.found[i]
		pool := config.FoundPool{Name: f.Name, InferencePool: f.String(), Models: f.Models, Err: f.Err}
		if d.namespace == "" {
			pool.Name = f.String()
		}
		found = append(found, pool)
	}
	plan, refused := plan.WithPools(found)
	for _, l := range refused {
		left = append(left, api.LeftOut{InferencePool: l.Pool.InferencePool, Why: l.Err.Error(), Kept: l.Kept})
	}
	return plan, left
}

// leaveOut says what was found and cannot be a pool: to operators, and once in the log.
func (r *replica) leaveOut(left []api.LeftOut) {
	d := r.discovery
	if d == nil {
		return
	}
	r.console.LeaveOut(left)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := make(map[string]string)
	for _, l := range left {
		now[l.InferencePool] = l.Why
		if d.said[l.InferencePool] != l.Why {
			what := "is left out"
			if l.Kept {
				what = "is changed, and its pool stays as it was"
			}
			r.log.Error("an InferencePool "+what, zap.String("inference_pool", l.InferencePool), zap.Error(errors.New(l.Why)))
			r.console.Note(api.ConfigRefused, api.Warning, l.InferencePool, "the InferencePool "+l.InferencePool+" "+what+": "+l.Why)
		}
	}
	d.said = now
}
