package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway"
)

// pools are a replica's pools by their names. They come and go as the plan says; a pool that
// goes lets the requests end that it has.
type pools struct {
	mu     sync.Mutex
	named  map[string]*pool
	going  map[string]*pool // those that are gone from the plan, and have yet to end
	ending bool             // no pool comes any more
}

// all are those that there are, by their names.
func (s *pools) all() []*pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*pool, 0, len(s.named))
	for _, name := range slices.Sorted(maps.Keys(s.named)) {
		all = append(all, s.named[name])
	}
	return all
}

// openPools opens the ledgers of the plan's pools.
func (r *replica) openPools(ctx context.Context) error {
	r.pools.named, r.pools.going = make(map[string]*pool), make(map[string]*pool)
	r.later(r.closePools)
	return each(r.plan.Pools, func(plan *config.Plan) error {
		p, err := r.newPool(ctx, plan)
		if err != nil {
			return err
		}
		r.pools.mu.Lock()
		defer r.pools.mu.Unlock()
		r.pools.named[p.name] = p
		return nil
	})
}

// startPools lets the pools take requests.
func (r *replica) startPools(ctx context.Context) error {
	return each(r.pools.all(), func(p *pool) error { return r.start(ctx, p) })
}

// atOnce is how many pools are opened or started at a time: most of it is waiting for Redis.
const atOnce = 16

// each does something with all of a list, several at a time, and returns the first error.
func each[T any](list []T, do func(T) error) error {
	places, failed := make(chan struct{}, atOnce), make(chan error, len(list))
	var running sync.WaitGroup
	for _, one := range list {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			if err := do(one); err != nil {
				failed <- err
			}
		})
	}
	running.Wait()
	close(failed)
	return <-failed // nil if there is none
}

// route has requests go to the pools that there are, by their models as the plan says.
func (r *replica) route(plan *config.Plan) *gateway.Pools {
	named := make(map[string]*gateway.Pool)
	for _, p := range r.pools.all() {
		if named[p.name] = p.gateway; !plan.Several() {
			return gateway.Only(p.gateway)
		}
	}
	return gateway.ByModel(named, plan.Models.Pool, plan.Models.Names())
}

// change has the pools be those of a plan: some go on with what changed, some come and some
// go. With an error nothing has come or gone.
func (r *replica) change(ctx context.Context, plan *config.Plan) error {
	s := &r.pools
	wanted := make(map[string]*config.Plan)
	come := make(map[string]*pool)
	for _, plan := range plan.Pools {
		wanted[plan.File.Weir.Pool] = plan
	}
	if !plan.Several() || !r.plan.Several() {
		return r.reconfigure(plan.Pools) // a restart changes the rest
	}
	known := make(map[string]bool)
	for _, p := range s.all() {
		known[p.name] = true
	}
	undo := func(err error) error {
		for _, p := range come {
			p.close(r)
		}
		return err
	}
	for name, plan := range wanted {
		if known[name] {
			continue
		}
		if err := s.awaitEnd(ctx, name); err != nil {
			return undo(err)
		}
		p, err := r.newPool(ctx, plan)
		if err != nil {
			return undo(err)
		}
		come[name] = p
		if err := r.start(ctx, p); err != nil {
			return undo(err)
		}
	}
	if err := r.reconfigure(plan.Pools); err != nil {
		return undo(err)
	}
	var gone []*pool
	s.mu.Lock()
	if s.ending {
		s.mu.Unlock()
		return undo(errEnding)
	}
	maps.Copy(s.named, come)
	for name, p := range s.named {
		if wanted[name] == nil {
			delete(s.named, name)
			s.going[name] = p
			gone = append(gone, p)
		}
	}
	s.mu.Unlock()
	r.gateway.SetPools(r.route(plan))
	for _, p := range gone {
		p.log.Info("the pool leaves the configuration: its requests end, and no new ones come")
		go r.end(p) // closePools waits for it
	}
	for _, p := range come {
		p.log.Info("the pool comes by the configuration")
	}
	return nil
}

// awaitEnd waits until no pool of the name is ending, as one may that was taken out of the
// configuration and put back.
func (s *pools) awaitEnd(ctx context.Context, name string) error {
	s.mu.Lock()
	p := s.going[name]
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return errEnding
	}
}

// errEnding says that a replica is about to end.
var errEnding = errors.New("the replica is about to end")

// reconfigure puts what changed into effect at the pools that stay.
func (r *replica) reconfigure(plans []*config.Plan) error {
	for _, plan := range plans {
		r.pools.mu.Lock()
		p := r.pools.named[plan.File.Weir.Pool]
		r.pools.mu.Unlock()
		if p == nil {
			continue
		}
		if err := p.reconfigure(plan); err != nil {
			return fmt.Errorf("pool %q: %w", p.name, err)
		}
	}
	return nil
}

// setTenants puts the part of a changed plan into effect that is about tenants.
func (r *replica) setTenants(plan *config.Plan) {
	for _, plan := range plan.Pools {
		for _, p := range r.pools.all() {
			if p.name == plan.File.Weir.Pool {
				p.setTenants(plan)
			}
		}
	}
}

// end ends a pool once its requests have ended, or after the drain time.
func (r *replica) end(p *pool) {
	drain := time.Duration(*r.plan.File.Weir.DrainTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	p.gateway.EndShadow()
	if err := p.controller.Drain(ctx); err != nil {
		p.log.Warn("the pool's requests were cut off", zap.Duration("after", drain), zap.Error(err))
	}
	p.close(r)
	r.pools.mu.Lock()
	delete(r.pools.going, p.name)
	r.pools.mu.Unlock()
	close(p.ended)
	p.log.Info("the pool is gone")
}

// retirePools has other replicas queue the pools' requests from now on.
func (r *replica) retirePools() {
	r.pools.mu.Lock()
	r.pools.ending = true
	r.pools.mu.Unlock()
	if r.parts != nil {
		r.fleet.Retire()
	}
	for _, p := range r.pools.all() {
		p.retire()
	}
}

// drainPools waits until the pools' requests have ended, or ctx does.
func (r *replica) drainPools(ctx context.Context) error {
	var draining sync.WaitGroup
	all := r.pools.all()
	left := make(chan error, len(all))
	for _, p := range all {
		draining.Go(func() {
			err := p.controller.Drain(ctx)
			if err != nil && r.plan.Several() {
				err = fmt.Errorf("pool %q: %w", p.name, err)
			}
			left <- err
		})
	}
	draining.Wait()
	close(left)
	var err error
	for e := range left {
		err = errors.Join(err, e)
	}
	return err
}

// closePools ends all pools.
func (r *replica) closePools() {
	var all sync.WaitGroup
	for _, p := range r.pools.all() {
		all.Go(func() { p.close(r) })
	}
	r.pools.mu.Lock()
	going := slices.Collect(maps.Values(r.pools.going))
	r.pools.mu.Unlock()
	for _, p := range going {
		<-p.ended
	}
	all.Wait()
}

// responsive reports whether the pools' controllers take in what they are told.
func (r *replica) responsive(ctx context.Context) error {
	for _, p := range r.pools.all() {
		if err := p.controller.Responsive(ctx); errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return nil
}
