package controller_test

import (
	"context"
	"fmt"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

// server is a model server as a detector sees it.
type server struct{}

func (server) Address() string                   { return "127.0.0.1:8000" }
func (server) InFlight() int                     { return 0 }
func (server) InFlightTokens() int64             { return 0 }
func (server) Metrics() policies.EndpointMetrics { return policies.EndpointMetrics{} }

// A controller as a library: two requests for one slot.
func Example() {
	ctx := context.Background()
	plugins := policies.NewSet(builtin.Registry())
	fair, err := plugins.Fairness("round-robin-fairness-policy")
	if err != nil {
		panic(err)
	}
	detector, err := builtin.Registry().New("concurrency-detector", "", []byte(`{"maxConcurrency": 1}`))
	if err != nil {
		panic(err)
	}
	c, err := controller.NewController(memory.New(memory.Config{}),
		controller.WithDefaultBand(shard.BandConfig{Fairness: fair}),
		controller.WithSaturationDetector(detector.(policies.SaturationDetector)),
	)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	c.Observe(ctx, []policies.EndpointAccessor{server{}})

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
