package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
)

// errForm says that a file has one pool where the replica runs several, or the other way.
var errForm = errors.New("going from one pool to several, or back, needs a restart")

// check reports why a plan cannot be put into effect.
func (r *replica) check(plan *config.Plan) error {
	if plan.Several() != r.plan.Several() {
		return fmt.Errorf("weir.pools: %w", errForm)
	}
	for _, plan := range plan.Pools {
		if err := controller.Check(append(controllerOptions(plan), policyOptions(plan, nil, nil)...)...); err != nil {
			return fmt.Errorf("pool %q: %w", plan.File.Weir.Pool, err)
		}
	}
	return nil
}

// change puts a plan into effect that was checked, and waits for nothing: pools that it adds
// come when they can be opened, and those that are gone from it end by themselves.
func (r *replica) change(plan *config.Plan) {
	s := &r.pools
	s.applying.Lock()
	defer s.applying.Unlock()
	var gone []*pool
	s.mu.Lock()
	if s.ending {
		s.mu.Unlock()
		return
	}
	s.wanted = plan
	for name, p := range s.named {
		if planOf(plan, name) == nil {
			delete(s.named, name)
			s.going[name] = p
			gone = append(gone, p)
		}
	}
	r.refused.forget(func(name string) bool { return planOf(plan, name) != nil })
	s.mu.Unlock()
	for _, p := range s.all() {
		if by := planOf(plan, p.name); !p.runsBy(by) { // by Kubernetes others come and go
			p.reconfigure(by)
		}
	}
	r.gateway.SetPools(r.route())
	for _, p := range gone {
		p.log.Info("the pool leaves the configuration: its requests end, and no new ones come")
		go r.end(p) // closePools waits for it
	}
	s.look()
}

// planOf is the plan of the pool of that name; nil for none. The only pool keeps its name
// until a restart, whatever the file calls it.
func planOf(plan *config.Plan, name string) *config.Plan {
	for _, of := range plan.Pools {
		if !plan.Several() || of.File.Weir.Pool == name {
			return of
		}
	}
	return nil
}

// setTenants puts the part of a plan into effect that is about tenants.
func (r *replica) setTenants(plan *config.Plan) {
	r.pools.applying.Lock()
	defer r.pools.applying.Unlock()
	r.pools.mu.Lock()
	r.pools.wanted = plan
	r.pools.mu.Unlock()
	for _, p := range r.pools.all() {
		p.setTenants(planOf(plan, p.name))
	}
}

// route has requests go to the pools that there are, by their models as the plan says, and
// health checks be told of them.
func (r *replica) route() *gateway.Pools {
	all := r.pools.all()
	if r.processing != nil {
		r.processing.follow(all)
	}
	r.pools.mu.Lock()
	plan := r.pools.wanted
	r.pools.mu.Unlock()
	if !plan.Several() {
		return gateway.Only(all[0].gateway)
	}
	named := make(map[string]*gateway.Pool)
	for _, of := range plan.Pools {
		named[of.File.Weir.Pool] = nil // until it is open
	}
	for _, p := range all {
		named[p.name] = p.gateway
	}
	return gateway.ByModel(named, plan.Models.Pool, plan.Models.Names())
}

// look has it be looked for pools that are to be opened.
func (s *pools) look() {
	select {
	case s.lacking <- struct{}{}:
	default: // it is about to be
	}
}

// missing are the plans of the pools that there should be and that can be opened: of none
// whose name one has that ends.
func (s *pools) missing() []*config.Plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []*config.Plan
	for _, plan := range s.wanted.Pools {
		if name := plan.File.Weir.Pool; s.wanted.Several() && s.named[name] == nil && s.going[name] == nil {
			missing = append(missing, plan)
		}
	}
	return missing
}

// openAgain is the pause after which a pool is tried again that could not be opened.
const openAgain = 2 * time.Second

// keepOpening opens the pools that come by a reload, until the returned function is called.
func (r *replica) keepOpening() (stop func()) {
	return during(func(ctx context.Context) {
		again := time.NewTimer(0)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.pools.lacking:
			case <-again.C:
			}
			if each(r.pools.missing(), func(plan *config.Plan) error { return r.bring(ctx, plan) }) != nil {
				again.Reset(openAgain)
			}
		}
	})
}

// bring opens a pool that came by a reload.
func (r *replica) bring(ctx context.Context, plan *config.Plan) error {
	p, err := r.newPool(ctx, plan)
	if err == nil {
		if err = r.start(ctx, p); err != nil {
			p.close(r)
		}
	}
	switch {
	case err == nil:
		r.admit(p, plan)
	case ctx.Err() == nil:
		r.notOpened(plan, err)
	}
	return err
}

// admit lets requests go to a pool that was opened by a plan, unless none is wanted any more.
func (r *replica) admit(p *pool, by *config.Plan) {
	s := &r.pools
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	wanted := planOf(s.wanted, p.name)
	if s.ending || wanted == nil {
		s.mu.Unlock()
		p.close(r)
		return
	}
	s.named[p.name] = p
	r.refused.opened(p.name)
	s.mu.Unlock()
	if wanted != by {
		p.reconfigure(wanted)
	}
	r.gateway.SetPools(r.route())
	p.log.Info("the pool comes by the configuration")
}

// notOpened says that a pool could not be opened, once for each cause, unless none is wanted any
// more.
func (r *replica) notOpened(plan *config.Plan, err error) {
	name := plan.File.Weir.Pool
	s := &r.pools
	why := oneLine(fmt.Sprintf("pool %q could not be opened and is tried again: %v", name, err))
	s.mu.Lock()
	known := planOf(s.wanted, name) == nil || r.refused.notOpened(name, why)
	s.mu.Unlock()
	if known {
		return
	}
	r.log.Error("a pool of the configuration could not be opened; it is tried again", zap.String("pool", name), zap.Error(err))
	r.noteRefused(why)
}
