package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/redis"
)

// fleet is n controllers on one Redis, in this process, in front of so many endpoints:
// with more than one, loads are stated and told.
func fleet(b *testing.B, n, limit, endpoints int) ([]*controller.Controller, *redistest.Server) {
	b.Helper()
	servers := make([]policies.EndpointAccessor, endpoints)
	for i := range servers {
		servers[i] = policytest.Endpoint{Name: fmt.Sprintf("10.0.0.%d:8000", i)}
	}
	server := redistest.Start(b)
	var controllers []*controller.Controller
	for i := range n {
		l, err := redis.Open(context.Background(), redis.Config{URL: server.URL()})
		if err != nil {
			b.Fatal(err)
		}
		opts := []controller.Option{
			controller.WithReplica(fmt.Sprint("r", i)),
			controller.WithDefaultBand(shard.BandConfig{MaxRequests: 1 << 20, MaxBytes: 1 << 40, Fairness: fairness.NewRoundRobin("rr")}),
		}
		if limit > 0 {
			d, err := saturation.NewConcurrency("d", saturation.ConcurrencyParameters{MaxConcurrency: limit / endpoints})
			if err != nil {
				b.Fatal(err)
			}
			opts = append(opts, controller.WithSaturationDetector(d))
		}
		c, err := controller.NewController(l, opts...)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			c.Close()
			_ = l.Close()
		})
		c.Observe(context.Background(), servers)
		controllers = append(controllers, c)
	}
	time.Sleep(1500 * time.Millisecond) // past the first generation's recovery
	return controllers, server
}

func flow(i int) policies.FlowKey { return policies.FlowKey{ID: fmt.Sprint("flow-", i)} }

func turnsOf(controllers []*controller.Controller) (turns, grants uint64) {
	for _, c := range controllers {
		t, g := c.Turns()
		turns += t
		grants += g
	}
	return turns, grants
}

// choices is run with one endpoint and with eight.
func choices(b *testing.B, run func(b *testing.B, endpoints int)) {
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) { run(b, n) })
	}
}

// BenchmarkGrants: 8 replicas, capacity not binding, 256 callers at each; every
// op is a grant and a release.
func BenchmarkGrants(b *testing.B) { choices(b, benchmarkGrants) }

func benchmarkGrants(b *testing.B, endpoints int) {
	cs, server := fleet(b, 8, 0, endpoints)
	turnsBefore, grantsBefore := turnsOf(cs)
	cpuBefore := usedCPU(b, server)
	var ops atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	began := time.Now()
	for i, c := range cs {
		for w := range 256 {
			wg.Go(func() {
				key := flow((i*256 + w) % 64)
				for ops.Add(1) <= int64(b.N) {
					r := &controller.Request{Flow: key, Bytes: 1000}
					if _, err := c.EnqueueAndWait(context.Background(), r); err != nil {
						b.Error(err)
						return
					}
					c.Release(r, controller.Usage{})
				}
			})
		}
	}
	wg.Wait()
	took := time.Since(began)
	turns, grants := turnsOf(cs)
	b.ReportMetric(float64(b.N)/took.Seconds(), "grants/s")
	b.ReportMetric((usedCPU(b, server)-cpuBefore)*1e6/float64(grants-grantsBefore), "redis-µs/grant")
	b.ReportMetric(float64(turns-turnsBefore)/float64(grants-grantsBefore), "turns/grant")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkBinding: a pool that serves 12,800 requests a second, 128 at a time
// for 10 ms each; 64 flows backlogged at 8 replicas, each at two of them.
func BenchmarkBinding(b *testing.B) { choices(b, benchmarkBinding) }

func benchmarkBinding(b *testing.B, endpoints int) {
	const limit, flows, service = 128, 64, 10 * time.Millisecond
	cs, server := fleet(b, 8, limit, endpoints)
	var served [flows]atomic.Int64
	var used atomic.Int64 // slot time, in nanoseconds: a sleep takes longer than it says
	stop, finish := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for f := range flows {
		for _, c := range []*controller.Controller{cs[f%8], cs[(f*5+3)%8]} {
			for range 16 {
				wg.Go(func() {
					for stop.Err() == nil {
						r := &controller.Request{Flow: flow(f)}
						if _, err := c.EnqueueAndWait(stop, r); err != nil {
							return
						}
						served[f].Add(1)
						began := time.Now()
						time.Sleep(service)
						used.Add(int64(time.Since(began)))
						c.Release(r, controller.Usage{})
					}
				})
			}
		}
	}
	time.Sleep(time.Second)
	var before [flows]int64
	var total int64
	for f := range flows {
		before[f] = served[f].Load()
		total -= before[f]
	}
	turnsBefore, grantsBefore := turnsOf(cs)
	cpuBefore := usedCPU(b, server)
	b.ResetTimer()
	began := time.Now()
	gap, usedBefore := int64(0), used.Load()
	for time.Since(began) < time.Duration(b.N)*time.Second {
		time.Sleep(50 * time.Millisecond)
		least, most := int64(1<<62), int64(0)
		for f := range flows {
			n := served[f].Load() - before[f]
			least, most = min(least, n), max(most, n)
		}
		gap = max(gap, most-least)
	}
	took := time.Since(began)
	utilised := float64(used.Load()-usedBefore) / float64(took) / limit
	turns, grants := turnsOf(cs)
	cpu := usedCPU(b, server) - cpuBefore
	for f := range flows {
		total += served[f].Load()
	}
	finish()
	wg.Wait()
	rate := float64(total) / took.Seconds()
	b.ReportMetric(rate, "grants/s")
	b.ReportMetric(100*utilised, "%capacity")
	b.ReportMetric(float64(gap), "gap")
	b.ReportMetric(cpu*1e6/float64(grants-grantsBefore), "redis-µs/grant")
	b.ReportMetric(float64(turns-turnsBefore)/float64(grants-grantsBefore), "turns/grant")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLatency: 600 requests a second over 3 replicas, unsaturated.
func BenchmarkLatency(b *testing.B) { choices(b, benchmarkLatency) }

func benchmarkLatency(b *testing.B, endpoints int) {
	cs, _ := fleet(b, 3, 0, endpoints)
	var mu sync.Mutex
	var waits []time.Duration
	var wg sync.WaitGroup
	ticker := time.NewTicker(time.Second / 600)
	defer ticker.Stop()
	n := 600 * max(3, min(b.N, 20))
	b.ResetTimer()
	for i := range n {
		<-ticker.C
		c := cs[i%3]
		wg.Go(func() {
			r := &controller.Request{Flow: flow(i % 16)}
			began := time.Now()
			if _, err := c.EnqueueAndWait(context.Background(), r); err != nil {
				b.Error(err)
				return
			}
			waited := time.Since(began)
			time.Sleep(20 * time.Millisecond)
			c.Release(r, controller.Usage{})
			mu.Lock()
			waits = append(waits, waited)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkTurnCost: Redis's own time for a turn that offers one ticket, by how
// many offers stand, how many replicas hold a lease, how many flows were ever
// seen, and in how many groups they are.
func BenchmarkTurnCost(b *testing.B) {
	for _, c := range []struct{ standing, replicas, flows, groups int }{
		{1, 1, 1, 0}, {32, 1, 1, 0}, {256, 1, 1, 0}, {32, 8, 1, 0}, {32, 32, 1, 0}, {32, 100, 1, 0}, {32, 8, 100_000, 0}, {32, 8, 10_000, 0}, {32, 8, 10_000, 1000},
	} {
		b.Run(fmt.Sprintf("standing=%d/replicas=%d/seen=%d/groups=%d", c.standing, c.replicas, c.flows, c.groups), func(b *testing.B) {
			server := redistest.Start(b)
			l, err := redis.Open(context.Background(), redis.Config{URL: server.URL(), Timeout: 10 * time.Second})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close() //nolint:errcheck // a benchmark
			client := goredis.NewClient(&goredis.Options{Addr: server.Address})
			defer client.Close() //nolint:errcheck // a benchmark
			run := newTurns(b, l, c.standing, c.replicas, c.flows, c.groups)
			if err := client.ConfigResetStat(context.Background()).Err(); err != nil {
				b.Fatal(err)
			}
			before := usedCPU(b, server)
			b.ResetTimer()
			for range b.N {
				run.turn()
			}
			b.StopTimer()
			b.ReportMetric(turnTime(b, client), "redis-µs/turn")
			b.ReportMetric((usedCPU(b, server)-before)*1e6/float64(b.N), "cpu-µs/turn")
			b.ReportMetric(0, "ns/op")
			runtime.KeepAlive(run)
		})
	}
}

// turnTime is Redis's own account of the mean time of a turn, in µs: of a function, or of a
// script where there is none.
func turnTime(b *testing.B, client *goredis.Client) float64 {
	b.Helper()
	stats, err := client.Info(context.Background(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(stats) {
		for _, command := range []string{"fcall", "evalsha"} {
			var calls, usec int64
			var each float64
			if _, err := fmt.Sscanf(line, "cmdstat_"+command+":calls=%d,usec=%d,usec_per_call=%f", &calls, &usec, &each); err == nil && calls > 0 {
				return each
			}
		}
	}
	b.Fatal("no turn in Redis's statistics")
	return 0
}

// BenchmarkManyLimits: Redis's own time for a turn that adds up and forgets, as one does
// each second, by how many flows have limits of their own.
func BenchmarkManyLimits(b *testing.B) {
	for _, flows := range []int{0, 10_000, 40_000} {
		b.Run(fmt.Sprintf("flows=%d", flows), func(b *testing.B) {
			server := redistest.Start(b)
			l, err := redis.Open(context.Background(), redis.Config{URL: server.URL(), Timeout: 10 * time.Second})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close() //nolint:errcheck // a benchmark
			client := goredis.NewClient(&goredis.Options{Addr: server.Address})
			defer client.Close() //nolint:errcheck // a benchmark
			run := newTurns(b, l, 32, 1, 1, 0)
			for n := range flows {
				run.statement.Limited = append(run.statement.Limited, store.Limited{Flow: fmt.Sprint("limited-", n), MaxInFlight: 4})
				if len(run.statement.Limited) == 1000 {
					run.take()
					run.statement.Limited = run.statement.Limited[:0]
				}
			}
			if err := client.ConfigResetStat(context.Background()).Err(); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for range b.N {
				time.Sleep(1050 * time.Millisecond)
				run.turn()
			}
			b.StopTimer()
			b.ReportMetric(turnTime(b, client), "redis-µs/turn")
			b.ReportMetric(0, "ns/op")
		})
	}
}
