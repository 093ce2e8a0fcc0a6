package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

// pair is two controllers on one ledger, with a pool of 10.
func pair(t *testing.T, opts ...Option) [2]*Controller {
	t.Helper()
	detector, err := saturation.NewConcurrency("pool", saturation.ConcurrencyParameters{MaxConcurrency: 10})
	if err != nil {
		t.Fatal(err)
	}
	l := memory.New(memory.Config{})
	var cs [2]*Controller
	for i := range cs {
		cs[i], err = NewController(l, append([]Option{
			WithReplica(fmt.Sprint("r", i)), WithSaturationDetector(detector),
			WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr")}),
		}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cs[i].Close)
		cs[i].Observe(t.Context(), []policies.EndpointAccessor{policytest.Endpoint{}})
	}
	time.Sleep(1100 * time.Millisecond)
	return cs
}

// TestMaxInFlight has a flow that may have 3 requests in flight flood two replicas:
// it never has more, uses what it may, and takes no other flow's place.
func TestMaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := pair(t, WithLimits(func(id string) shard.Limit {
			if id == "limited" {
				return shard.Limit{MaxInFlight: 3}
			}
			return shard.Limit{}
		}))
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		var inFlight, most, served, others atomic.Int64
		var clients sync.WaitGroup
		for i := range 200 {
			clients.Go(func() {
				for ctx.Err() == nil {
					r := request("limited")
					if _, err := cs[i%2].EnqueueAndWait(ctx, r); err != nil {
						return
					}
					if n := inFlight.Add(1); n > most.Load() {
						most.Store(n)
					}
					time.Sleep(100 * time.Millisecond)
					inFlight.Add(-1)
					served.Add(1)
					cs[i%2].Release(r, Usage{})
				}
			})
		}
		for i := range 20 {
			clients.Go(func() {
				for ctx.Err() == nil {
					r := request(fmt.Sprint("free-", i%4))
					if _, err := cs[i%2].EnqueueAndWait(ctx, r); err != nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
					others.Add(1)
					cs[i%2].Release(r, Usage{})
				}
			})
		}
		clients.Wait()
		t.Logf("limited: at most %d in flight, %d served in 10 s; others: %d", most.Load(), served.Load(), others.Load())
		if most.Load() > 3 {
			t.Errorf("%d in flight, 3 are allowed", most.Load())
		}
		// Of 10 slots for 0.1 s each it is due a fifth, 200 in 10 s. Its limit has room for
		// more, though its owner hears up to 25 ms late of room.
		if served.Load() < 180 || others.Load() < 600 {
			t.Errorf("%d served of the limited flow, %d of the others; want at least 180 and 600", served.Load(), others.Load())
		}
	})
}

// TestTokensPerMinute has a flow wait when its tokens are used up, and another be
// rejected.
func TestTokensPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := pair(t, WithTTL(0, 0), WithLimits(func(id string) shard.Limit {
			return shard.Limit{TokensPerMinute: 6000, Reject: id == "rejected"}
		}))
		ask := func(n int, flow string) Outcome {
			r := &Request{Flow: policies.FlowKey{ID: flow}, InputTokens: 50, OutputTokens: 50}
			outcome, err := cs[n%2].EnqueueAndWait(t.Context(), r)
			if outcome == RejectedCapacity && (!errors.Is(err, ErrFlowLimit) || errors.Is(err, ErrQueueFull)) {
				t.Errorf("request %d: %v, want the flow's limit as the reason", n, err)
			}
			if outcome == Dispatched {
				cs[n%2].Release(r, Usage{InputTokens: 50, OutputTokens: 150, Known: true})
			}
			return outcome
		}
		began := time.Now()
		for n := range 90 { // of 200 tokens each, when all is settled
			if outcome := ask(n, "waits"); outcome != Dispatched {
				t.Fatalf("request %d: %v", n, outcome)
			}
		}
		// 18,000 tokens, of which a minute's were saved up.
		if took := time.Since(began); took < 115*time.Second || took > 125*time.Second {
			t.Errorf("90 requests of 200 tokens took %v at 6000 a minute, want 2 minutes", took)
		}
		rejected := 0
		for n := range 90 {
			if ask(n, "rejected") == RejectedCapacity {
				rejected++
			}
		}
		if rejected < 50 || rejected > 62 {
			t.Errorf("%d of 90 requests rejected at once, want about 60: 30 use a minute's tokens up", rejected)
		}
	})
}

// TestTokensWhileStreaming has an answer spend more than a flow's tokens while it streams: the flow's
// next request waits for that, whatever the fairness policy charges.
func TestTokensWhileStreaming(t *testing.T) {
	for _, policy := range []policies.FairnessPolicy{fairness.NewGlobalStrict("gs"), fairness.NewRoundRobin("rr")} {
		t.Run(policy.TypedName().Type, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cs := pair(t, WithTTL(0, 0), WithDefaultBand(shard.BandConfig{Fairness: policy}), WithLimits(func(string) shard.Limit { return shard.Limit{TokensPerMinute: 600} }))
				long, next := request("limited"), request("limited")
				if outcome, err := cs[0].EnqueueAndWait(t.Context(), long); outcome != Dispatched {
					t.Fatalf("%v, %v", outcome, err)
				}
				cs[0].Progress(long, Usage{OutputTokens: 1200, Known: true})
				time.Sleep(time.Second)
				began := time.Now()
				if outcome, err := cs[1].EnqueueAndWait(t.Context(), next); outcome != Dispatched {
					t.Fatalf("%v, %v", outcome, err)
				}
				if took := time.Since(began); took < 55*time.Second || took > 65*time.Second {
					t.Errorf("it waited %v for tokens, want a minute: 600 more were spent than a minute's", took)
				}
				cs[0].Release(long, Usage{OutputTokens: 1200, Known: true})
				cs[1].Release(next, Usage{})
			})
		})
	}
}

// TestLimitOverPriorities has a flow that may have 3 requests in flight come by two replicas
// at three priorities: it never has more, over all of them.
func TestLimitOverPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := pair(t, WithLimits(func(string) shard.Limit { return shard.Limit{MaxInFlight: 3} }))
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		var inFlight, most, served atomic.Int64
		var clients sync.WaitGroup
		for i := range 60 {
			clients.Go(func() {
				for ctx.Err() == nil {
					r := request("limited")
					r.Flow.Priority = 10 * (i % 3)
					if _, err := cs[i%2].EnqueueAndWait(ctx, r); err != nil {
						return
					}
					if n := inFlight.Add(1); n > most.Load() {
						most.Store(n)
					}
					time.Sleep(100 * time.Millisecond)
					inFlight.Add(-1)
					served.Add(1)
					cs[i%2].Release(r, Usage{})
				}
			})
		}
		clients.Wait()
		t.Logf("at most %d in flight, %d served in 5 s", most.Load(), served.Load())
		if most.Load() > 3 {
			t.Errorf("%d in flight, 3 are allowed over all priorities", most.Load())
		}
		if served.Load() < 100 {
			t.Errorf("%d served, want at least 100", served.Load())
		}
	})
}
