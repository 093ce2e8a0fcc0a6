package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/redis"
	"github.com/weirflow/weir/test/delay"
)

// BenchmarkUnsaturated: three replicas, 64 callers in all with requests of 10 ms, a limit
// that they never reach; on a Redis that is near, and on one that is 300 ms away. Every op
// is a request.
func BenchmarkUnsaturated(b *testing.B) {
	for _, way := range []time.Duration{0, 300 * time.Millisecond} {
		b.Run(fmt.Sprintf("redis=%v", way), func(b *testing.B) { benchmarkUnsaturated(b, way) })
	}
}

func benchmarkUnsaturated(b *testing.B, way time.Duration) {
	const replicas, callers, limit, service = 3, 64, 512, 10 * time.Millisecond
	server := redistest.Start(b)
	path := delay.Start(b, server.Address)
	url := strings.Replace(server.URL(), server.Address, path.Address, 1)
	ctx := context.Background()
	var cs []*controller.Controller
	for i := range replicas {
		d, err := saturation.NewConcurrency("d", saturation.ConcurrencyParameters{MaxConcurrency: limit})
		if err != nil {
			b.Fatal(err)
		}
		l, err := redis.Open(ctx, redis.Config{URL: url})
		if err != nil {
			b.Fatal(err)
		}
		c, err := controller.NewController(l, controller.WithReplica(fmt.Sprint("r", i)), controller.WithSaturationDetector(d),
			controller.WithDefaultBand(shard.BandConfig{MaxRequests: 1 << 20, MaxBytes: 1 << 40, Fairness: fairness.NewRoundRobin("rr")}))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			c.Close()
			_ = l.Close()
		})
		c.Observe(ctx, []policies.EndpointAccessor{policytest.Endpoint{}})
		cs = append(cs, c)
	}
	var counting atomic.Bool
	var ops atomic.Int64
	var mu sync.Mutex
	var waits []time.Duration
	var wg sync.WaitGroup
	for i := range callers {
		c, key := cs[i%replicas], flow(i%16)
		wg.Go(func() {
			for ops.Load() < int64(b.N) {
				began := time.Now()
				r := &controller.Request{Flow: key, Bytes: 1000}
				if _, err := c.EnqueueAndWait(ctx, r); err != nil {
					b.Error(err)
					return
				}
				if waited := time.Since(began); counting.Load() {
					ops.Add(1)
					mu.Lock()
					waits = append(waits, waited)
					mu.Unlock()
				}
				time.Sleep(service)
				c.Release(r, controller.Usage{})
			}
		})
	}
	path.Set(way, 0)
	time.Sleep(3 * time.Second) // past the first generation's recovery, and the first answers from afar
	turnsBefore, grantsBefore := turnsOf(cs)
	cpuBefore := usedCPU(b, server)
	counting.Store(true)
	wg.Wait()
	turns, grants := turnsOf(cs)
	b.ReportMetric(float64(turns-turnsBefore)/float64(grants-grantsBefore), "turns/request")
	b.ReportMetric((usedCPU(b, server)-cpuBefore)*1e6/float64(grants-grantsBefore), "redis-µs/request")
	slices.SortFunc(waits, cmp.Compare[time.Duration])
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(waits[len(waits)*percent/100].Microseconds())/1000, fmt.Sprintf("wait-p%d-ms", percent))
	}
	b.ReportMetric(0, "ns/op")
}
