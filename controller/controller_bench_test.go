package controller

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

// newBench returns a controller over one endpoint that takes limit requests, 0
// for any number, with the named fairness policy in all bands.
func newBench(tb testing.TB, typ string, limit int, opts ...Option) *Controller {
	tb.Helper()
	plugin, err := builtin.Registry().New(typ, "", nil)
	if err != nil {
		tb.Fatal(err)
	}
	policy := plugin.(policies.FairnessPolicy)
	opts = append([]Option{
		WithDefaultBand(shard.BandConfig{MaxRequests: 1 << 30, MaxBytes: 1 << 50, Fairness: policy}),
	}, opts...)
	if limit > 0 {
		d, err := saturation.NewConcurrency("d", saturation.ConcurrencyParameters{MaxConcurrency: limit})
		if err != nil {
			tb.Fatal(err)
		}
		opts = append(opts, WithSaturationDetector(d))
	}
	c, err := NewController(memory.New(memory.Config{}), opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	c.Observe(context.Background(), []policies.EndpointAccessor{policytest.Endpoint{}})
	return c
}

// keys returns n flow keys, flow i at priority i mod priorities.
func keys(n, priorities int) []policies.FlowKey {
	flows := make([]policies.FlowKey, n)
	for i := range flows {
		flows[i] = policies.FlowKey{ID: "flow-" + strconv.Itoa(i), Priority: i % priorities}
	}
	return flows
}

// popularity returns a long sequence of flow indexes drawn by Zipf's law with
// exponent 1.1 and seed 1.
func popularity(flows int) []int {
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.1, 1, uint64(flows-1))
	order := make([]int, 1<<16)
	for i := range order {
		order[i] = int(z.Uint64())
	}
	return order
}

// hammer runs b.N operations, each EnqueueAndWait and Release, from workers
// goroutines over the flows that next names.
func hammer(b *testing.B, c *Controller, workers int, next func(op int64) policies.FlowKey) {
	b.Helper()
	var ops atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	began := time.Now()
	for range workers {
		wg.Go(func() {
			for op := ops.Add(1); op <= int64(b.N); op = ops.Add(1) {
				r := &Request{Flow: next(op), Bytes: 1024, TTL: time.Hour}
				if outcome, err := c.EnqueueAndWait(context.Background(), r); outcome != Dispatched {
					b.Errorf("%v: %v", outcome, err)
					return
				}
				c.Release(r, Usage{})
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "op/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMatrix is the whole path, EnqueueAndWait and Release, over limit,
// priorities, flows, callers and fairness.
func BenchmarkMatrix(b *testing.B) {
	for _, typ := range []string{fairness.GlobalStrictType, fairness.RoundRobinType} {
		for _, workers := range []int{10, 5000} {
			for _, limit := range []int{0, 1, 100} {
				for _, priorities := range []int{1, 8} {
					for _, flows := range []int{10, 5000} {
						b.Run(fmt.Sprintf("%s/W=%d/L=%d/P=%d/F=%d", typ, workers, limit, priorities, flows), func(b *testing.B) {
							ks, order := keys(flows, priorities), popularity(flows)
							hammer(b, newBench(b, typ, limit), workers, func(op int64) policies.FlowKey {
								return ks[order[op&(1<<16-1)]]
							})
						})
					}
				}
			}
		}
	}
}

// BenchmarkPolicies is one point of the matrix under every fairness policy.
func BenchmarkPolicies(b *testing.B) {
	for _, typ := range []string{
		fairness.GlobalStrictType, fairness.RoundRobinType, fairness.WeightedRoundRobinType, fairness.VTCType, fairness.LASType,
	} {
		for _, workers := range []int{10, 5000} {
			b.Run(fmt.Sprintf("%s/W=%d", typ, workers), func(b *testing.B) {
				ks, order := keys(5000, 1), popularity(5000)
				hammer(b, newBench(b, typ, 100), workers, func(op int64) policies.FlowKey { return ks[order[op&(1<<16-1)]] })
			})
		}
	}
}

// BenchmarkRoundRobin has 500 callers for one slot, each flow as busy as every
// other.
func BenchmarkRoundRobin(b *testing.B) {
	for _, flows := range []int{10, 1000, 5000} {
		b.Run(fmt.Sprintf("F=%d", flows), func(b *testing.B) {
			ks := keys(flows, 1)
			hammer(b, newBench(b, fairness.RoundRobinType, 1), 500, func(op int64) policies.FlowKey { return ks[op%int64(flows)] })
		})
	}
	b.Run("Active=10/Known=5000", func(b *testing.B) {
		ks := keys(5000, 1)
		c := newBench(b, fairness.RoundRobinType, 1)
		for _, k := range ks {
			r := &Request{Flow: k}
			if _, err := c.EnqueueAndWait(context.Background(), r); err != nil {
				b.Fatal(err)
			}
			c.Release(r, Usage{})
		}
		hammer(b, c, 500, func(op int64) policies.FlowKey { return ks[op%10] })
	})
}

// BenchmarkChurn has a new flow for every request.
func BenchmarkChurn(b *testing.B) {
	c := newBench(b, fairness.RoundRobinType, 100)
	hammer(b, c, 5000, func(op int64) policies.FlowKey { return policies.FlowKey{ID: strconv.FormatInt(op, 36)} })
}

// BenchmarkView is how long the loop is held to tell what there is to see of 10,000 flows,
// of which 100 are new each time.
func BenchmarkView(b *testing.B) {
	c := newBench(b, fairness.RoundRobinType, 100)
	serve := func(from, to int) {
		for i := from; i < to; i++ {
			r := &Request{Flow: policies.FlowKey{ID: fmt.Sprintf("flow-%d", i*7919%1_000_003)}}
			if _, err := c.EnqueueAndWait(context.Background(), r); err != nil {
				b.Fatal(err)
			}
			c.Release(r, Usage{})
		}
	}
	flows := 10_000
	serve(0, flows)
	var held time.Duration
	b.ReportAllocs()
	for range b.N {
		serve(flows, flows+100)
		flows += 100
		if err := c.inspect(context.Background(), func(k *core.Core, now time.Time) {
			began := time.Now()
			v := k.View(now)
			held += time.Since(began)
			if len(v.Flows) < 10_000 {
				b.Errorf("%d flows", len(v.Flows))
			}
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(held.Microseconds())/1000/float64(b.N), "ms-held")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkGate has 4,000 requests waiting behind a closed gate that opens.
func BenchmarkGate(b *testing.B) {
	const waiting = 4000
	ks := keys(100, 1)
	var total time.Duration
	for range b.N {
		c := newBench(b, fairness.RoundRobinType, 1)
		held := &Request{Flow: ks[0]}
		if _, err := c.EnqueueAndWait(context.Background(), held); err != nil {
			b.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range waiting {
			wg.Go(func() {
				r := &Request{Flow: ks[i%len(ks)]}
				if _, err := c.EnqueueAndWait(context.Background(), r); err != nil {
					b.Error(err)
				}
				c.Release(r, Usage{})
			})
		}
		for {
			v, err := c.View(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			if v.Waiting == waiting {
				break
			}
			time.Sleep(time.Millisecond)
		}
		began := time.Now()
		c.Release(held, Usage{})
		wg.Wait()
		total += time.Since(began)
		c.Close()
	}
	b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), "ms/open")
	b.ReportMetric(0, "ns/op")
}
