package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func request(flow string) *Request { return &Request{Flow: policies.FlowKey{ID: flow}} }

// dispatch enqueues a request that must be dispatched.
func dispatch(t *testing.T, c *Controller, r *Request) {
	t.Helper()
	if outcome, err := c.EnqueueAndWait(context.Background(), r); outcome != Dispatched || err != nil {
		t.Fatalf("%v, %v", outcome, err)
	}
}

func TestOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBench(t, fairness.RoundRobinType, 1, WithTTL(time.Second, 300*time.Millisecond),
			WithDefaultBand(shard.BandConfig{MaxRequests: 1}))
		held := request("a")
		dispatch(t, c, held)

		began := time.Now()
		if outcome, err := c.EnqueueAndWait(t.Context(), request("b")); outcome != EvictedTTL || !errors.Is(err, ErrTTLExpired) {
			t.Errorf("TTL: %v, %v", outcome, err)
		}
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("a TTL of 1s ended after %v", waited)
		}

		ctx, hangUp := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer hangUp()
		outcome, err := c.EnqueueAndWait(ctx, request("b"))
		if outcome != EvictedContextCancelled || !errors.Is(err, ErrContextCancelled) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's own deadline: %v, %v", outcome, err)
		}

		var waiting sync.WaitGroup
		waiting.Go(func() {
			if outcome, err := c.EnqueueAndWait(t.Context(), request("b")); outcome != EvictedNoEndpoints || !errors.Is(err, ErrNoEndpoints) {
				t.Errorf("while the pool is empty: %v, %v", outcome, err)
			}
		})
		synctest.Wait()
		if outcome, err := c.EnqueueAndWait(t.Context(), request("b")); outcome != RejectedCapacity || !errors.Is(err, ErrQueueFull) {
			t.Errorf("at a full queue: %v, %v", outcome, err)
		}
		c.Observe(t.Context(), nil)
		waiting.Wait()

		c.Release(held, Usage{})
		c.Release(held, Usage{}) // the second does nothing
		c.Observe(t.Context(), []policies.EndpointAccessor{policytest.Endpoint{}})
		dispatch(t, c, request("b"))
		waiting.Go(func() {
			if outcome, err := c.EnqueueAndWait(t.Context(), request("c")); outcome != EvictedOther || !errors.Is(err, ErrShuttingDown) {
				t.Errorf("waiting when the controller closes: %v, %v", outcome, err)
			}
		})
		synctest.Wait()
		c.Close()
		waiting.Wait()
		if outcome, err := c.EnqueueAndWait(t.Context(), request("b")); outcome != RejectedOther || !errors.Is(err, ErrShuttingDown) {
			t.Errorf("after Close: %v, %v", outcome, err)
		}
	})
}

// TestTTLs wants a band's own time to hold where it has one, none with 0, and a request's
// only where it is shorter.
func TestTTLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever, longer := time.Duration(0), 5*time.Second
		c := newBench(t, fairness.RoundRobinType, 1, WithTTL(time.Second, time.Second),
			WithBand(1, shard.BandConfig{TTL: &longer}), WithBand(2, shard.BandConfig{TTL: &forever}))
		dispatch(t, c, request("held"))
		for _, w := range []struct {
			priority  int
			ttl, want time.Duration
		}{
			{0, 0, time.Second},
			{0, time.Hour, time.Second},
			{0, time.Millisecond, time.Millisecond},
			{1, 0, longer},
			{1, time.Hour, longer},
			{2, time.Minute, time.Minute},
		} {
			began := time.Now()
			r := &Request{Flow: policies.FlowKey{ID: "a", Priority: w.priority}, TTL: w.ttl}
			if outcome, err := c.EnqueueAndWait(t.Context(), r); outcome != EvictedTTL {
				t.Errorf("priority %d, own TTL %v: %v, %v", w.priority, w.ttl, outcome, err)
			}
			if waited := time.Since(began); waited != w.want {
				t.Errorf("priority %d, own TTL %v: waited %v, want %v", w.priority, w.ttl, waited, w.want)
			}
		}
		// Longer than the default of a minute; each second that one waits takes forty turns.
		long, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		r := &Request{Flow: policies.FlowKey{ID: "a", Priority: 2}}
		if outcome, err := c.EnqueueAndWait(long, r); outcome != EvictedContextCancelled {
			t.Errorf("without a limit: %v, %v", outcome, err)
		}
	})
}

func TestNoEndpointsRejectsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBench(t, fairness.RoundRobinType, 1, WithTTL(time.Second, -1))
		c.Observe(t.Context(), nil)
		if outcome, err := c.EnqueueAndWait(t.Context(), request("a")); outcome != RejectedNoEndpoints || !errors.Is(err, ErrNoEndpoints) {
			t.Errorf("%v, %v", outcome, err)
		}
	})
}

func TestDrainLosesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBench(t, fairness.RoundRobinType, 1)
		held, next := request("a"), request("b")
		dispatch(t, c, held)
		var waiting sync.WaitGroup
		waiting.Go(func() {
			dispatch(t, c, next)
			time.Sleep(time.Second)
			c.Release(next, Usage{})
		})
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drained with one in flight and one waiting: %v", err)
		}
		waiting.Go(func() { c.Release(held, Usage{}) })
		if err := c.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		waiting.Wait()
	})
}

// remote is a memory ledger that is not inline, and fails while it is down.
type remote struct {
	ledger  *memory.Ledger
	mu      sync.Mutex
	down    bool
	settled [][]store.Settlement // what each turn brought, since took

	registered []store.Counter // what the last turn that registered restated
}

func (r *remote) set(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

// took returns the settlements that each turn brought since it was last asked, and what
// the last turn that registered restated.
func (r *remote) took() (settled [][]store.Settlement, registered []store.Counter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	settled, r.settled = r.settled, nil
	return settled, r.registered
}

func (r *remote) Turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil, store.ErrUnavailable
	}
	r.settled = append(r.settled, slices.Clone(s.Settlements))
	if s.Register {
		r.registered = slices.Clone(s.Counters)
	}
	return r.ledger.Turn(ctx, s)
}

func (r *remote) Wakeups(ctx context.Context, id string) <-chan store.Wakeup {
	return r.ledger.Wakeups(ctx, id)
}
func (r *remote) Close() error { return nil }

// overRemote is a controller with one endpoint on such a ledger. It is closed when the
// test ends.
func overRemote(t *testing.T, policy policies.Plugin) (*remote, *Controller) {
	t.Helper()
	ledger := &remote{ledger: memory.New(memory.Config{})}
	c, err := NewController(ledger, WithDefaultBand(shard.BandConfig{Fairness: policy.(policies.FairnessPolicy)}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.Observe(t.Context(), []policies.EndpointAccessor{policytest.Endpoint{}})
	time.Sleep(3 * time.Second) // until all others would know it
	return ledger, c
}

func TestOutageAndReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger, c := overRemote(t, fairness.NewRoundRobin("rr"))
		dispatch(t, c, request("a"))
		ledger.set(true)
		began := time.Now()
		dispatch(t, c, request("a"))
		if waited := time.Since(began); waited < 400*time.Millisecond || waited > time.Second {
			t.Errorf("went on alone after %v, want about 500ms", waited)
		}
		ledger.set(false)
		time.Sleep(2 * time.Second)
		v, err := c.View(t.Context())
		if err != nil || v.Ledger != "connected" || v.Totals.InFlight != 2 {
			t.Errorf("after the outage: %s, %d in flight, %v; want connected with 2", v.Ledger, v.Totals.InFlight, err)
		}
	})
}

// TestLongOutageIsNotSettled has requests cost more than was estimated all through an
// outage: what comes back to the ledger is the last of it.
func TestLongOutageIsNotSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vtc, err := fairness.VTCFactory("vtc", nil)
		if err != nil {
			t.Fatal(err)
		}
		ledger, c := overRemote(t, vtc)
		serve := func(tokens int64) {
			r := &Request{Flow: policies.FlowKey{ID: "a"}, InputTokens: 10, OutputTokens: 10}
			if outcome, err := c.EnqueueAndWait(t.Context(), r); outcome != Dispatched {
				t.Fatal(outcome, err)
			}
			time.Sleep(10 * time.Millisecond)
			c.Release(r, Usage{InputTokens: 10, OutputTokens: tokens, Known: true})
		}
		serve(20)
		ledger.set(true)
		for n := range 3000 { // 30 s
			serve(int64(20 + n%7))
		}
		ledger.took()
		ledger.set(false)
		time.Sleep(2 * time.Second)
		serve(20)
		time.Sleep(time.Second)
		settled, _ := ledger.took()
		charged := 0.0
		for _, s := range slices.Concat(settled...) {
			charged += max(0, s.Delta)
		}
		const costs = 10 + 2*23 // a request, on average
		if charged < costs || charged > 200*costs {
			t.Errorf("%.0f was charged after an outage that cost %d, want its last 500 ms and what it began with", charged, 3000*costs)
		}
	})
}

// TestSettlementsAreSpread ends requests of many flows at once: no turn grows past what a ledger
// takes, and all are settled.
func TestSettlementsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vtc, err := fairness.VTCFactory("vtc", nil)
		if err != nil {
			t.Fatal(err)
		}
		ledger, c := overRemote(t, vtc)
		const flows = 3*store.MaxSettlements + 1
		var rs []*Request
		for n := range flows {
			r := &Request{Flow: policies.FlowKey{ID: fmt.Sprint("flow-", n)}, InputTokens: 10, OutputTokens: 10}
			dispatch(t, c, r)
			rs = append(rs, r)
		}
		ledger.took()
		ledger.mu.Lock() // a turn that is under way takes its time
		for _, r := range rs {
			c.Release(r, Usage{InputTokens: 10, OutputTokens: 11, Known: true})
		}
		ledger.mu.Unlock()
		time.Sleep(time.Second)
		sum := 0
		settled, _ := ledger.took()
		for _, batch := range settled {
			n := len(batch)
			if sum += n; n > store.MaxSettlements {
				t.Errorf("a turn brought %d settlements, at most %d are agreed", n, store.MaxSettlements)
			}
		}
		if sum != flows {
			t.Errorf("%d of %d flows were settled", sum, flows)
		}
	})
}

// TestManyCountersRegister has served more flows than a registering turn may tell of: it
// tells of those that were served most.
func TestManyCountersRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		las, err := fairness.LASFactory("las", nil)
		if err != nil {
			t.Fatal(err)
		}
		ledger, c := overRemote(t, las)
		for n := range store.MaxCounters + 1000 {
			r := &Request{Flow: policies.FlowKey{ID: fmt.Sprint("flow-", n)}, InputTokens: int64(1 + n%5)}
			dispatch(t, c, r)
			c.Release(r, Usage{})
		}
		ledger.mu.Lock()
		ledger.ledger = memory.New(memory.Config{}) // wiped
		ledger.mu.Unlock()
		time.Sleep(2 * time.Second)
		_, registered := ledger.took()
		if n := len(registered); n != store.MaxCounters {
			t.Fatalf("%d counters are restated, want %d", n, store.MaxCounters)
		}
		lowest := 0
		for _, counter := range registered {
			if counter.Value == 1 {
				lowest++
			}
		}
		if want := (store.MaxCounters+1000+4)/5 - 1000; lowest != want {
			t.Errorf("%d of those that were served least are among them, want %d: the thousand left out are of these", lowest, want)
		}
	})
}

// TestIdleTakesATurnASecond counts turns while nothing happens.
func TestIdleTakesATurnASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBench(t, fairness.RoundRobinType, 1)
		r := request("a")
		dispatch(t, c, r)
		c.Release(r, Usage{})
		synctest.Wait()
		before, _ := c.Turns()
		time.Sleep(time.Minute)
		after, _ := c.Turns()
		if n := after - before; n < 55 || n > 62 {
			t.Errorf("%d turns in an idle minute, want about 60", n)
		}
	})
}
