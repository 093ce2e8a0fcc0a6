package bench

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/redis"
)

// BenchmarkTurnCost: Redis's own time for a turn that offers one ticket, by how
// many offers stand, how many replicas hold a lease, how many flows were ever
// seen, and in how many groups of three levels they are: where few stand, each turn empties two
// groups and begins two others.
func BenchmarkTurnCost(b *testing.B) {
	for _, c := range []struct{ standing, replicas, flows, groups int }{
		{1, 1, 1, 0},
		{32, 1, 1, 0},
		{256, 1, 1, 0},
		{32, 8, 1, 0},
		{32, 32, 1, 0},
		{32, 100, 1, 0},
		{32, 8, 100_000, 0},
		{32, 8, 10_000, 0},
		{32, 8, 10_000, 1000},
		{4000, 8, 1, 0},
		{4000, 8, 1, 1000},
	} {
		name := fmt.Sprintf("standing=%d/replicas=%d/seen=%d", c.standing, c.replicas, c.flows)
		if c.groups > 0 {
			name += fmt.Sprintf("/groups=%d", c.groups)
		}
		b.Run(name, func(b *testing.B) {
			server := redistest.Start(b)
			l, err := redis.Open(context.Background(), redis.Config{URL: server.URL(), Timeout: 10 * time.Second, Timings: store.Timings{Lease: time.Minute}})
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
