package bench

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
)

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
