package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
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

// usedCPU is the CPU time that a server has used so far, in seconds.
func usedCPU(b *testing.B, server *redistest.Server) (seconds float64) {
	b.Helper()
	info, err := server.Client().Info(context.Background(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			s, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			seconds += s
		}
	}
	return seconds
}
