package shard_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/shard"
)

// BenchmarkChoose is what it costs to queue a request, to choose the flow that goes
// next, and to serve it, by how many flows wait.
func BenchmarkChoose(b *testing.B) {
	registry := builtin.Registry()
	for _, typ := range []string{
		"global-strict-fairness-policy", "round-robin-fairness-policy", "vtc-fairness-policy", "program-aware-fairness",
	} {
		p, err := registry.New(typ, "", nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, flows := range []int{10, 1000, 100_000} {
			b.Run(fmt.Sprintf("%s/F=%d", typ, flows), func(b *testing.B) {
				s := shard.New(shard.Config{Shards: 256, OffersPerBand: 1, Idle: time.Hour, Band: func(int) shard.BandConfig {
					return shard.BandConfig{
						MaxRequests: 1 << 30, MaxBytes: 1 << 40, Fairness: p.(policies.FairnessPolicy), Ordering: ordering.NewFCFS("fcfs"),
					}
				}})
				now := time.Unix(1_800_000_000, 0)
				counters := make(map[string]float64)
				add := func(n uint64, flow string) {
					now = now.Add(time.Microsecond)
					if _, err := s.Add(shard.Ticket{
						ID: policies.TicketID{Ingress: "me", Seq: n}, Flow: policies.FlowKey{ID: flow},
						InputTokens: 10, OutputTokens: 20, Arrival: now,
					}, now); err != nil {
						b.Fatal(err)
					}
				}
				n := uint64(0)
				for i := range flows {
					n++
					add(n, fmt.Sprint("flow-", i))
				}
				b.ReportAllocs()
				for b.Loop() {
					s.Refill()
					var next shard.Offer
					s.Changes(func(o shard.Offer) { next = o }, func(policies.TicketID) {})
					s.Answered()
					counters[next.Flow.ID] += next.Charge
					s.Taken(next.Ticket, counters[next.Flow.ID], now)
					n++
					add(n, next.Flow.ID)
				}
			})
		}
	}
}
