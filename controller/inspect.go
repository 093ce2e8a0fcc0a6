package controller

import (
	"context"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// inspect calls look on the driver's loop, between two events. It fails once the
// controller is closed, or when ctx ends; look may then be under way, and must keep what
// it finds to itself.
func (c *Controller) inspect(ctx context.Context, look func(k *core.Core, now time.Time)) error {
	done := make(chan struct{})
	c.driver.post(event{do: func(d *driver, now time.Time, _ *event) {
		look(d.core, now)
		close(done)
	}})
	select {
	case <-done:
		return nil
	case <-c.driver.stopped:
		return ErrShuttingDown
	case <-ctx.Done():
		return ctx.Err()
	}
}

// View returns what an operator would want to see. It fails once the controller
// is closed.
func (c *Controller) View(ctx context.Context) (core.View, error) {
	v := new(core.View)
	if err := c.inspect(ctx, func(k *core.Core, now time.Time) { *v = k.View(now) }); err != nil {
		return core.View{}, err
	}
	return *v, nil
}

// RequestView is a request whose connection is here, as an operator sees it.
type RequestView struct {
	core.RequestView
	// Name is [Request.Name].
	Name string
}

// Requests returns those requests whose connections are here that match accepts, at most
// so many, and how many there are of them. The function is called on the controller's
// loop, and must return at once.
func (c *Controller) Requests(ctx context.Context, match func(*RequestView) bool, most int) (some []RequestView, all int, err error) {
	type found struct {
		some []RequestView
		all  int
	}
	f := new(found)
	err = c.inspect(ctx, func(k *core.Core, _ time.Time) {
		k.Requests(func(v core.RequestView) bool {
			r := RequestView{RequestView: v}
			if q, ok := v.Tag.(*Request); ok {
				r.Name = q.Name
			}
			if match(&r) {
				if f.all++; len(f.some) < most {
					f.some = append(f.some, r)
				}
			}
			return true
		})
	})
	if err != nil {
		return nil, 0, err
	}
	return f.some, f.all, nil
}

// Evict ends those requests whose connections are here that match accepts, and returns
// them: those that wait, and those in flight of a priority below 0. It also returns those
// that it leaves alone. The function is called on the controller's loop, and must return
// at once.
func (c *Controller) Evict(ctx context.Context, match func(*RequestView) bool) (ended, left []RequestView, err error) {
	type found struct{ ended, left []RequestView }
	f := new(found)
	err = c.inspect(ctx, func(k *core.Core, now time.Time) {
		k.Requests(func(v core.RequestView) bool {
			r, of := RequestView{RequestView: v}, v.Tag.(*Request)
			if r.Name = of.Name; !match(&r) {
				return true
			}
			if v.InFlight && (v.Flow.Priority >= 0 || of.End == nil) {
				f.left = append(f.left, r)
			} else {
				f.ended = append(f.ended, r)
			}
			return true
		})
		for i := range f.ended {
			if r := f.ended[i].Tag.(*Request); f.ended[i].InFlight {
				r.End(ErrEvicted)
			} else {
				k.Cancel(now, r.seq, EvictedOther, ErrEvicted)
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	return f.ended, f.left, nil
}

// PlaceOf returns where a waiting request stands in the queues here, by its ticket, and
// whether it waits here at all.
func (c *Controller) PlaceOf(ctx context.Context, id policies.TicketID) (shard.Place, bool, error) {
	type found struct {
		place shard.Place
		here  bool
	}
	f := new(found)
	if err := c.inspect(ctx, func(k *core.Core, _ time.Time) { f.place, f.here = k.PlaceOf(id) }); err != nil {
		return shard.Place{}, false, err
	}
	return f.place, f.here, nil
}

// Ahead returns how many tickets of each flow with tickets in the queues here go before
// one of the given flow, of that rank and score; see [shard.Set.Ahead].
func (c *Controller) Ahead(ctx context.Context, flow policies.FlowKey, rank, score float64) (map[policies.FlowKey]int, error) {
	ahead := make(map[policies.FlowKey]int)
	err := c.inspect(ctx, func(k *core.Core, _ time.Time) {
		k.Ahead(flow, rank, score, func(key policies.FlowKey, tickets int) { ahead[key] = tickets })
	})
	if err != nil {
		return nil, err
	}
	return ahead, nil
}
