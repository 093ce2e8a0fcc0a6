package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
)

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
