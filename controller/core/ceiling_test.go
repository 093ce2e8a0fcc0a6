package core_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// part is a usage limit policy that lets each band use that part of the pool.
type part float64

func (part) TypedName() policies.TypedName { return policies.TypedName{Type: "part", Name: "part"} }

func (p part) Ceilings(_ context.Context, _ time.Time, _ float64, priorities []int) []float64 {
	ceilings := make([]float64, len(priorities))
	for i := range ceilings {
		ceilings[i] = float64(p)
	}
	return ceilings
}

// TestCeilingOfOddParts wants a limit that can be stated to the ledger, whatever a policy
// answers: none that is negative, which would say that the replica knows no limit.
func TestCeilingOfOddParts(t *testing.T) {
	for _, tc := range []struct {
		part float64
		want int64
	}{
		{0.5, 50},
		{-0.01, 0},
		{math.NaN(), 0},
		{math.Inf(-1), 0},
		{math.Inf(1), store.Unlimited},
	} {
		c := core.New(core.Config{
			Replica: "me", Incarnation: 1, UsageLimit: part(tc.part), Timings: core.DefaultTimings(3 * time.Second),
			Shard: shard.Config{Shards: 256, OffersPerBand: 4, Idle: time.Minute, Band: func(int) shard.BandConfig {
				return shard.BandConfig{MaxRequests: 10, MaxBytes: 1000, Fairness: fairness.NewRoundRobin("rr"), Ordering: ordering.NewFCFS("fcfs")}
			}},
		})
		now := time.Unix(1000, 0)
		c.SetPool(now, core.Pool{Endpoints: 1, Limit: 100})
		c.Enqueue(now, core.Request{Seq: 1, Flow: policies.FlowKey{ID: "a"}})
		if bands := c.View(time.Now()).Bands; len(bands) != 1 || bands[0].Limit != tc.want {
			t.Errorf("%v of a pool of 100: %+v, want a limit of %d", tc.part, bands, tc.want)
		}
	}
}

// few is a usage limit policy that answers for fewer bands than it is asked for.
type few struct{ part }

func (few) Ceilings(context.Context, time.Time, float64, []int) []float64 { return []float64{0.5} }

// TestCeilingsTooFew wants the whole pool for bands that a policy says nothing about.
func TestCeilingsTooFew(t *testing.T) {
	now := time.Unix(1000, 0)
	cfg := configured(fairness.NewRoundRobin("rr"))
	cfg.UsageLimit = few{}
	c := core.New(cfg)
	c.SetPool(now, core.Pool{Endpoints: 1, Limit: 100})
	c.Enqueue(now, core.Request{Seq: 1, Flow: policies.FlowKey{ID: "a", Priority: 1}})
	c.Enqueue(now, core.Request{Seq: 2, Flow: policies.FlowKey{ID: "a"}})
	if bands := c.View(now).Bands; len(bands) != 2 || bands[0].Limit != 50 || bands[1].Limit != 100 {
		t.Errorf("%+v, want limits of 50 and 100", bands)
	}
}
