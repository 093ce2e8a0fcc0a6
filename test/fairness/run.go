package fairness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// inputWeight and outputWeight are what a token counts in the figures, as in VTC.
const inputWeight, outputWeight = 1, 2

// estimate is the expected length of an answer when its request is dispatched. It is
// wrong for most, so that settlements matter.
const estimate = 20

// chunk is how many tokens of an answer come at a time.
const chunk = 5

// settled is after which part of a run waits are looked at, from a third of it on: until the first
// requests have ended nobody knows how long they hold their slots.
const settled = 3

// apart is by how much clients begin one after the other, so that in simulated time their order is
// the same each time.
const apart = 3001 * time.Nanosecond

// run is a scenario under way.
type run struct {
	scenario Scenario
	length   time.Duration
	replicas []*controller.Controller
	began    time.Time

	mu      sync.Mutex
	tenants []*tally
	result  *Result
}

// tally is what a tenant asked for and got.
type tally struct {
	Tenant
	index    int
	waiting  int
	service  float64 // weighted tokens
	asked    int     // for so many requests
	requests int     // that were served
	held     float64 // running mean of how long its requests held their slots, in seconds
	ended    int     // requests that it was made of
	waits    []time.Duration
}

// Play plays a scenario on as many replicas as there are ledgers.
func Play(ctx context.Context, s Scenario, policy policies.FairnessPolicy, ledgers []store.Ledger, length time.Duration) (*Result, error) {
	r := &run{scenario: s, length: length}
	defer func() {
		for _, c := range r.replicas {
			c.Close()
		}
	}()
	for i, t := range s.Tenants {
		r.tenants = append(r.tenants, &tally{Tenant: t, index: i})
	}
	r.result = newResult(r, len(ledgers))
	for i, l := range ledgers {
		detector, err := saturation.NewConcurrency("pool", saturation.ConcurrencyParameters{MaxConcurrency: slots})
		if err != nil {
			return nil, err
		}
		c, err := controller.NewController(l, controller.WithReplica(fmt.Sprint("r", i)), controller.WithSaturationDetector(detector),
			controller.WithDefaultBand(shard.BandConfig{Fairness: policy, MaxRequests: 100_000}), controller.WithWeights(r.weight))
		if err != nil {
			return nil, err
		}
		r.replicas = append(r.replicas, c)
		c.Observe(ctx, []policies.EndpointAccessor{policytest.Endpoint{}})
	}
	time.Sleep(1100 * time.Millisecond) // past the ledger's recovery
	return r.play(ctx), nil
}

func (r *run) weight(k policies.FlowKey) float64 {
	for _, t := range r.scenario.Tenants {
		if t.ID == k.ID {
			return t.Weight
		}
	}
	return 1
}

// play runs the load and looks at it again and again.
func (r *run) play(ctx context.Context) *Result {
	ctx, cancel := context.WithTimeout(ctx, r.length)
	defer cancel()
	r.began = time.Now()
	var load sync.WaitGroup
	for i, t := range r.tenants {
		if t.Rate > 0 {
			load.Go(func() { r.arrive(ctx, i, t, &load) })
			continue
		}
		for n := range t.Clients {
			load.Go(func() { r.keepGoing(ctx, i+n, i, t, time.Duration(len(r.tenants)*n+i+1)*apart) })
		}
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ticker.C:
			r.mu.Lock()
			r.result.look(r, time.Since(r.began))
			r.mu.Unlock()
		case <-ctx.Done():
		}
	}
	load.Wait()
	r.result.finish(r)
	return r.result
}

// at is the replica that the tenant's nth client comes in by.
func (r *run) at(n, tenant int, t *tally) *controller.Controller {
	if t.Spread {
		return r.replicas[n%len(r.replicas)]
	}
	return r.replicas[tenant%len(r.replicas)]
}

// there reports whether the tenant is, and when to look again if not.
func (r *run) there(t *tally) (bool, time.Duration) {
	since := time.Since(r.began)
	from, to := time.Duration(t.From*float64(r.length)), time.Duration(t.To*float64(r.length))
	switch {
	case since < from:
		return false, from - since
	case since >= to:
		return false, r.length
	case t.Off > 0:
		if phase := (since - from) % (t.On + t.Off); phase >= t.On {
			return false, t.On + t.Off - phase
		}
	}
	return true, 0
}

// keepGoing is a client that asks again as soon as it was answered, and begins so much later than
// its tenant.
func (r *run) keepGoing(ctx context.Context, n, tenant int, t *tally, later time.Duration) {
	pause(ctx, later)
	for ctx.Err() == nil {
		if there, again := r.there(t); !there {
			pause(ctx, again+later)
			continue
		}
		r.ask(ctx, r.at(n, tenant, t), t)
	}
}

// arrive makes requests come at random.
func (r *run) arrive(ctx context.Context, tenant int, t *tally, load *sync.WaitGroup) {
	rng := rand.New(rand.NewPCG(r.scenario.Seed+1, uint64(tenant)))
	for n := 0; ctx.Err() == nil; n++ {
		pause(ctx, time.Duration(rng.ExpFloat64()/t.Rate*float64(time.Second)))
		load.Go(func() { r.ask(ctx, r.at(n, tenant, t), t) })
	}
}

// ask makes one request: it waits its turn, and its answer streams.
func (r *run) ask(ctx context.Context, c *controller.Controller, t *tally) {
	req := &controller.Request{Flow: policies.FlowKey{ID: t.ID}, InputTokens: t.Input, OutputTokens: estimate}
	pace := r.begin(t)
	req.ExpectedHold = r.expected(t)
	began := time.Now()
	if _, err := c.EnqueueAndWait(ctx, req); err != nil {
		return // the run is over
	}
	r.count(t, -1, inputWeight*float64(t.Input), time.Since(began))
	granted, usage := time.Now(), controller.Usage{InputTokens: t.Input, Known: true}
	for usage.OutputTokens < t.Output && ctx.Err() == nil {
		n := min(chunk, t.Output-usage.OutputTokens)
		pause(ctx, time.Duration(n)*pace)
		usage.OutputTokens += n
		r.count(t, 0, outputWeight*float64(n), 0)
		r.held(time.Duration(n) * pace)
		if usage.OutputTokens > estimate {
			c.Progress(req, usage)
		}
	}
	c.Release(req, usage)
	r.end(t, time.Since(granted))
}

// begin counts a request that waits from now on, and returns how long a token of its answer takes: a
// tenth more or less than usual, else answers that began together would end together for ever.
func (r *run) begin(t *tally) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.asked++
	t.waiting++
	spread := rand.New(rand.NewPCG(r.scenario.Seed+uint64(t.index), uint64(t.asked))).Float64() //nolint:gosec // a load, no secret
	return time.Duration(float64(step) * (0.9 + 0.2*spread))
}

// expected is how long a tenant's next request is expected to hold its slot, as a gateway would say.
func (r *run) expected(t *tally) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(t.held * float64(time.Second))
}

// end notes for how long a request held its slot.
func (r *run) end(t *tally, held time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.ended++
	t.held += (held.Seconds() - t.held) / float64(min(t.ended, 32))
}

// held notes for how long a part of an answer took a slot.
func (r *run) held(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Held += d
}

// count notes service, and by how many a tenant has more or fewer that wait; one that no longer does
// waited for so long. What comes after the end counts no more: all is given up then.
func (r *run) count(t *tally, waiting int, service float64, waited time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.began) >= r.length {
		return
	}
	t.waiting += waiting
	t.service += service
	if waiting < 0 {
		t.requests++
		if time.Since(r.began) > r.length/settled {
			t.waits = append(t.waits, waited)
		}
	}
	if t.waiting == 0 && waiting != 0 {
		r.result.idle(t)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
