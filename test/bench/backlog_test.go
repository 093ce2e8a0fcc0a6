package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/internal/redistest"
)

// backlog is a pool that more requests wait for than it takes: each flow has 16 callers at two
// of eight replicas.
type backlog struct {
	controllers []*controller.Controller
	server      *redistest.Server

	start  time.Time
	cancel context.CancelFunc
	open   sync.WaitGroup

	served [bindingFlows]atomic.Int64

	mu        sync.Mutex
	time      time.Duration // of slots in use: when requests ended, less when they began
	now, peak int64         // how many have begun and not ended
}

// service is how long requests take: so long each, or on average, and up to 60% more or less.
type service struct {
	mean   time.Duration
	differ bool
}

// String is how it is called in a benchmark's name.
func (s service) String() string {
	if s.differ {
		return "differing-" + s.mean.String()
	}
	return s.mean.String()
}

// takes is how long the next one does.
func (s service) takes(rng *rand.Rand) time.Duration {
	if !s.differ {
		return s.mean
	}
	return time.Duration((0.4 + 1.2*rng.Float64()) * float64(s.mean))
}

// settled is how long to wait until the beginnings of requests that differ are spread, and whoever was
// served more before all waited is caught up with.
func (s service) settled() time.Duration { return max(time.Second, 8*s.mean) }

func startBacklog(b *testing.B, service service, endpoints int) *backlog {
	b.Helper()
	p := &backlog{start: time.Now()}
	p.controllers, p.server = fleet(b, 8, bindingLimit, endpoints)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	for f := range bindingFlows {
		for at, c := range []*controller.Controller{p.controllers[f%8], p.controllers[(f*5+3)%8]} {
			for i := range 16 {
				p.open.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(f), uint64(at*16+i)))
					for ctx.Err() == nil {
						r := &controller.Request{Flow: flow(f)}
						if _, err := c.EnqueueAndWait(ctx, r); err != nil {
							return
						}
						p.served[f].Add(1)
						p.began()
						time.Sleep(service.takes(rng))
						p.ended()
						c.Release(r, controller.Usage{})
					}
				})
			}
		}
	}
	return p
}

// began counts a request that was let go.
func (p *backlog) began() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.time -= time.Since(p.start)
	p.now++
	p.peak = max(p.peak, p.now)
}

// ended counts one that is about to free its slot.
func (p *backlog) ended() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.time += time.Since(p.start)
	p.now--
}

// used is how long slots were in use so far, all together.
func (p *backlog) used() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.time + time.Duration(p.now)*time.Since(p.start)
}

// counts is how many requests of each flow were let go so far.
func (p *backlog) counts() []int64 {
	counts := make([]int64, bindingFlows)
	for f := range counts {
		counts[f] = p.served[f].Load()
	}
	return counts
}

// end ends the load.
func (p *backlog) end() {
	p.cancel()
	p.open.Wait()
}
