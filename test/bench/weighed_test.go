package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/redis"
)

// BenchmarkWeighedBands: Redis's time for a turn that offers 32 tickets and has as many granted,
// by how many priorities share the pool by weights, all of which wait.
func BenchmarkWeighedBands(b *testing.B) {
	for _, bands := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("bands=%d", bands), func(b *testing.B) { benchmarkWeighedBands(b, bands) })
	}
}

func benchmarkWeighedBands(b *testing.B, bands int) {
	const granted = 32
	server := redistest.Start(b)
	l, err := redis.Open(context.Background(), redis.Config{URL: server.URL(), Timeout: 10 * time.Second, Timings: store.Timings{Lease: time.Minute}})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a benchmark
	t := &turns{tb: b, ledger: l, statement: statement("me")}
	s := &t.statement
	s.Bands = nil
	for i := range bands {
		s.Bands = append(s.Bands, store.Band{Priority: i, Policy: "fair", CountsService: true, LiftsIdle: true, Weight: float64(1 + i%3)})
	}
	offer := func(n int) {
		for range n {
			t.next++
			s.Offers = append(s.Offers, store.Offer{
				Ticket: policies.TicketID{Ingress: "me", Seq: t.next}, Flow: "flow", Priority: int(t.next) % bands, Charge: 1, Score: float64(t.next),
			})
		}
	}
	t.take()
	offer(bands + granted)
	t.take()
	for i := range s.Bands {
		s.Bands[i].Limit = granted // what was granted has ended by the next turn
	}
	client := goredis.NewClient(&goredis.Options{Addr: server.Address})
	defer client.Close() //nolint:errcheck // a benchmark
	if err := client.ConfigResetStat(context.Background()).Err(); err != nil {
		b.Fatal(err)
	}
	before := usedCPU(b, server)
	grants := 0
	b.ResetTimer()
	for range b.N {
		offer(granted)
		grants += len(t.take().Messages)
	}
	b.StopTimer()
	if grants < b.N*granted {
		b.Fatalf("%d grants in %d turns, want %d each", grants, b.N, granted)
	}
	b.ReportMetric(turnTime(b, client)/1000, "redis-ms/turn")
	b.ReportMetric((usedCPU(b, server)-before)*1e3/float64(b.N), "cpu-ms/turn")
	b.ReportMetric(0, "ns/op")
}
