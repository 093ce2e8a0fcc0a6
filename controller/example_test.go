package controller_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
	"github.com/weirflow/weir/store/redis"
)

// A controller as a library: two requests for one slot.
func Example() {
	ctx := context.Background()
	c, err := controller.NewController(memory.New(memory.Config{}),
		controller.WithLimit(1),
		controller.WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("in turn")}),
	)
	if err != nil {
		panic(err)
	}
	defer c.Close()

	first := &controller.Request{Flow: policies.FlowKey{ID: "tenant-a"}}
	outcome, _ := c.EnqueueAndWait(ctx, first)
	fmt.Println(outcome)

	second := &controller.Request{Flow: policies.FlowKey{ID: "tenant-b"}, TTL: 10 * time.Millisecond}
	outcome, err = c.EnqueueAndWait(ctx, second)
	fmt.Println(outcome, "-", err)

	c.Release(first, controller.Usage{})
	outcome, _ = c.EnqueueAndWait(ctx, &controller.Request{Flow: policies.FlowKey{ID: "tenant-b"}})
	fmt.Println(outcome)
	// Output:
	// Dispatched
	// EvictedTTL - waited too long for capacity
	// Dispatched
}

// byBytes is a fairness policy of one's own, of the counting kind: flows that wait get
// the same number of bytes through, each for its weight.
type byBytes struct{ policies.Named }

func (byBytes) NewState(context.Context) any { return nil } // the counters are all there is to remember

func (byBytes) Pick(_ context.Context, band policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	return policies.PickLeastServed(band), nil
}

func (byBytes) Charge(item policies.QueueItemAccessor) float64 { return float64(item.ByteSize()) }

// A policy of one's own: a request of 3000 bytes counts as much as three of 1000.
func Example_customPolicy() {
	ctx := context.Background()
	c, err := controller.NewController(memory.New(memory.Config{}),
		controller.WithLimit(1),
		controller.WithDefaultBand(shard.BandConfig{Fairness: byBytes{policies.NewNamed("bytes", "bytes")}}),
	)
	if err != nil {
		panic(err)
	}
	defer c.Close()

	held := &controller.Request{Flow: policies.FlowKey{ID: "other"}}
	if _, err := c.EnqueueAndWait(ctx, held); err != nil {
		panic(err)
	}
	var clients sync.WaitGroup
	var served []string // by one client at a time: who has the slot
	for flow, size := range map[string]int64{"large": 3000, "small": 1000} {
		for range 6 {
			clients.Go(func() {
				r := &controller.Request{Flow: policies.FlowKey{ID: flow}, Bytes: size}
				if _, err := c.EnqueueAndWait(ctx, r); err != nil {
					panic(err)
				}
				served = append(served, flow)
				c.Release(r, controller.Usage{})
			})
		}
	}
	for waiting := 0; waiting < 12; time.Sleep(time.Millisecond) {
		v, err := c.View(ctx)
		if err != nil {
			panic(err)
		}
		waiting = v.Waiting
	}
	c.Release(held, controller.Usage{})
	clients.Wait()
	slices.Sort(served[:8])
	fmt.Println(served[:8])
	// Output:
	// [large large small small small small small small]
}

// Two replicas on one Redis share a limit of two: who holds what at which of them makes
// no difference.
func Example_fleet() {
	ctx := context.Background()
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		panic(err)
	}
	defer server.Close()
	replica := func(id string) *controller.Controller {
		ledger, err := redis.Open(ctx, redis.Config{URL: "redis://" + server.Addr(), Pool: "llama"})
		if err != nil {
			panic(err)
		}
		c, err := controller.NewController(ledger, controller.WithReplica(id), controller.WithLimit(2))
		if err != nil {
			panic(err)
		}
		return c
	}
	one, two := replica("one"), replica("two")
	defer one.Close()
	defer two.Close()

	a, b := &controller.Request{Flow: policies.FlowKey{ID: "a"}}, &controller.Request{Flow: policies.FlowKey{ID: "b"}}
	outcome, _ := one.EnqueueAndWait(ctx, a)
	fmt.Println("a at one:", outcome)
	outcome, _ = two.EnqueueAndWait(ctx, b)
	fmt.Println("b at two:", outcome)

	outcome, err := two.EnqueueAndWait(ctx, &controller.Request{Flow: policies.FlowKey{ID: "c"}, TTL: 100 * time.Millisecond})
	fmt.Println("c at two:", outcome, "-", err)

	one.Release(a, controller.Usage{})
	outcome, _ = two.EnqueueAndWait(ctx, &controller.Request{Flow: policies.FlowKey{ID: "c"}})
	fmt.Println("c at two:", outcome)
	// Output:
	// a at one: Dispatched
	// b at two: Dispatched
	// c at two: EvictedTTL - waited too long for capacity
	// c at two: Dispatched
}

// An answer turns out longer than was expected: its flow pays while it streams, so that
// others go first in the meantime, and the rest is settled at the end.
func ExampleController_Progress() {
	ctx := context.Background()
	tokens, err := fairness.NewVTC("tokens", fairness.VTCParameters{InputTokenWeight: 1, OutputTokenWeight: 2})
	if err != nil {
		panic(err)
	}
	c, err := controller.NewController(memory.New(memory.Config{}),
		controller.WithLimit(1), controller.WithDefaultBand(shard.BandConfig{Fairness: tokens}))
	if err != nil {
		panic(err)
	}
	defer c.Close()
	counter := func() float64 {
		v, err := c.View(ctx)
		if err != nil {
			panic(err)
		}
		return v.Flows[0].Counter
	}

	r := &controller.Request{Flow: policies.FlowKey{ID: "tenant"}, InputTokens: 10, OutputTokens: 100}
	if _, err := c.EnqueueAndWait(ctx, r); err != nil {
		panic(err)
	}
	fmt.Println("at dispatch:", counter(), "for 10 + 2·100 tokens")
	c.Progress(r, controller.Usage{InputTokens: 10, OutputTokens: 300})
	fmt.Println("streaming:  ", counter(), "for 10 + 2·300")
	c.Release(r, controller.Usage{InputTokens: 12, OutputTokens: 340, Known: true})
	fmt.Println("at the end: ", counter(), "for 12 + 2·340")
	// Output:
	// at dispatch: 210 for 10 + 2·100 tokens
	// streaming:   610 for 10 + 2·300
	// at the end:  692 for 12 + 2·340
}
