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
)

// pools are a replica's pools by their names. They come and go as the plan says; a pool that
// goes lets the requests end that it has.
type pools struct {
	applying sync.Mutex    // held while a plan is put into effect; comes before mu
	lacking  chan struct{} // receives when there may be pools to be opened

	mu     sync.Mutex
	wanted *config.Plan // that says which there should be
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
	r.pools.wanted, r.pools.lacking = r.plan, make(chan struct{}, 1)
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

// end ends a pool once its requests have ended, or after the drain time ends them.
func (r *replica) end(p *pool) {
	drain := time.Duration(*r.plan.File.Weir.DrainTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	p.gateway.Shadow().End()
	err := p.controller.Drain(ctx)
	if err == nil {
		err = p.gateway.Await(ctx) // in shadow they go without the controller's leave
	}
	if err != nil {
		p.log.Warn("the pool's requests are cut off", zap.Duration("after", drain), zap.Error(err))
	}
	p.close(r)
	r.pools.mu.Lock()
	delete(r.pools.going, p.name)
	r.pools.mu.Unlock()
	close(p.ended)
	r.pools.look()
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
	r.pools.mu.Lock()
	r.pools.ending = true
	r.pools.mu.Unlock()
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
