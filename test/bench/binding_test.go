package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// The pool that the benchmarks of a limit that binds are about.
const (
	bindingLimit = 128
	bindingFlows = 64
)

// BenchmarkBinding: a pool of 128 slots, with requests that take as long as is said; 64 flows
// backlogged at 8 replicas, each at two of them. An op is a second.
func BenchmarkBinding(b *testing.B) {
	for _, service := range []service{
		{mean: 10 * time.Millisecond},
		{mean: 100 * time.Millisecond},
		{mean: 100 * time.Millisecond, differ: true},
		{mean: time.Second},
		{mean: time.Second, differ: true},
	} {
		b.Run(fmt.Sprint("service=", service), func(b *testing.B) {
			choices(b, func(b *testing.B, endpoints int) { benchmarkBinding(b, service, endpoints) })
		})
	}
}

func benchmarkBinding(b *testing.B, service service, endpoints int) {
	p := startBacklog(b, service, endpoints)
	time.Sleep(service.settled())
	before, total := p.counts(), int64(0)
	turnsBefore, grantsBefore := turnsOf(p.controllers)
	cpuBefore := usedCPU(b, p.server)
	b.ResetTimer()
	began, usedBefore := time.Now(), p.used()
	gap := int64(0)
	for time.Since(began) < time.Duration(b.N)*time.Second {
		time.Sleep(50 * time.Millisecond)
		least, most := int64(1<<62), int64(0)
		for f, n := range p.counts() {
			least, most = min(least, n-before[f]), max(most, n-before[f])
		}
		gap = max(gap, most-least)
	}
	took, used := time.Since(began), p.used()-usedBefore
	turns, grants := turnsOf(p.controllers)
	cpu := usedCPU(b, p.server) - cpuBefore
	for f, n := range p.counts() {
		total += n - before[f]
	}
	p.end()
	b.ReportMetric(float64(total)/took.Seconds(), "grants/s")
	b.ReportMetric(100*float64(used)/float64(took)/bindingLimit, "%capacity")
	b.ReportMetric(100-100*float64(used)/float64(took)/bindingLimit, "%empty")
	b.ReportMetric(float64(gap), "gap")
	b.ReportMetric(float64(p.peak), "most-in-flight")
	b.ReportMetric(cpu*1e6/float64(grants-grantsBefore), "redis-µs/grant")
	b.ReportMetric(float64(turns-turnsBefore)/float64(grants-grantsBefore), "turns/grant")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkHigherBand: the same pool, full of requests that take as long as is said, and one request of
// 10 ms of a higher priority after the other, 20 ms apart, at one replica after the other. An op is one
// of these.
func BenchmarkHigherBand(b *testing.B) {
	for _, service := range []service{{mean: 10 * time.Millisecond}, {mean: 100 * time.Millisecond, differ: true}, {mean: time.Second, differ: true}} {
		b.Run(fmt.Sprint("service=", service), func(b *testing.B) {
			choices(b, func(b *testing.B, endpoints int) { benchmarkHigherBand(b, service, endpoints) })
		})
	}
}

func benchmarkHigherBand(b *testing.B, service service, endpoints int) {
	p := startBacklog(b, service, endpoints)
	time.Sleep(service.settled())
	ask := func(i int) time.Duration {
		r := &controller.Request{Flow: policies.FlowKey{ID: "urgent", Priority: 1}}
		began := time.Now()
		if _, err := p.controllers[i%len(p.controllers)].EnqueueAndWait(context.Background(), r); err != nil {
			b.Fatal(err)
		}
		waited := time.Since(began)
		p.began()
		time.Sleep(10 * time.Millisecond)
		p.ended()
		p.controllers[i%len(p.controllers)].Release(r, controller.Usage{})
		time.Sleep(20 * time.Millisecond)
		return waited
	}
	for i := range 20 {
		ask(i) // the first of a band wait longer in any version: replicas state it anew
	}
	var waits []time.Duration
	b.ResetTimer()
	began, usedBefore := time.Now(), p.used()
	for i := range b.N {
		waits = append(waits, ask(i))
	}
	b.StopTimer()
	took, used := time.Since(began), p.used()-usedBefore
	p.end()
	b.ReportMetric(100*float64(used)/float64(took)/bindingLimit, "%capacity")
	slices.Sort(waits)
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(waits[len(waits)*percent/100].Microseconds())/1000, fmt.Sprintf("wait-p%d-ms", percent))
	}
	b.ReportMetric(float64(p.peak), "most-in-flight")
	b.ReportMetric(0, "ns/op")
}
