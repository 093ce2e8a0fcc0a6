package integration

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// crowd is a pool of 8 slots, whose replicas share a Redis, under a flood of priority 10,
// and a tenant batch of priority -10 that is guaranteed a part and comes in by the last
// replica only. All requests take the same time.
type crowd struct {
	*testing.T
	config   *configured
	redis    *redistest.Server
	load     *processes.Load
	replicas []*processes.Replica
}

func startCrowd(t *testing.T, replicas int) *crowd {
	t.Helper()
	c := &crowd{T: t, config: newConfigured(t), redis: redistest.Start(t)}
	c.config.write(guaranteeing("25%"))
	s := processes.StartServers(t, 1, 8)
	for n := range replicas {
		c.replicas = append(c.replicas, processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", fmt.Sprint("r", n), s, "--config", c.config.file, "--redis", c.redis.URL()))
	}
	c.load, _ = processes.StartLoad(t)
	return c
}

// guarantee has the running replicas read of another guarantee.
func (c *crowd) guarantee(part string, replicas ...*processes.Replica) {
	c.Helper()
	c.config.reload(guaranteeing(part), replicas...)
	c.load.Next(50, "batch", "flood")
}

func guaranteeing(part string) string {
	return `
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 8}}]
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}
weir:
  flows: [{id: batch, priority: -10}, {id: flood, priority: 10}]
  bands: [{priority: -10, guaranteed: ` + part + `}]
`
}

// start starts a tenant's clients at a replica until the returned function is called.
func (c *crowd) start(tenant string, clients int, at *processes.Replica) context.CancelFunc {
	ctx, stop := context.WithCancel(context.Background())
	c.Cleanup(stop)
	c.load.Tenant(ctx, tenant, clients, at)
	return stop
}

// share looks at so many requests, and wants batch to have got a part of them between these.
func (c *crowd) share(what string, requests int, least, most float64) {
	c.Helper()
	began := time.Now()
	got := c.load.Next(requests, "batch", "flood")
	part := float64(got[0]) / float64(got[0]+got[1])
	c.Logf("%s, %d replicas: %.1f%% of %d requests in %v", what, len(c.replicas), 100*part, got[0]+got[1], time.Since(began))
	if part < least || part > most {
		c.Errorf("%s: batch got %.1f%% of the pool, want from %.0f%% to %.0f%%", what, 100*part, 100*least, 100*most)
	}
}

// TestGuarantee holds a low priority's guarantee against a flood of a high one, on three
// processes over Redis: while it waits, when it comes back, when the guarantee is changed,
// when the ledger is lost and when a replica is. Alone it has the whole pool.
func TestGuarantee(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 25 s")
	}
	t.Parallel() // it mostly waits
	c := startCrowd(t, 3)
	last := c.replicas[2]
	c.start("flood", 20, c.replicas[0])
	c.start("flood", 20, c.replicas[1])
	endFlood := c.start("flood", 4, last)
	stop := c.start("batch", 20, last)
	c.load.Next(100, "flood")
	c.share("a flood of a higher priority", 300, 0.23, 0.28)

	if s, err := processes.Get[api.Shares](last, "/v1/shares"); err != nil || len(s.Shares) != 1 || s.Shares[0].Guaranteed != 2 || s.Shares[0].Priority != -10 {
		t.Errorf("/v1/shares: %+v, %v; want 2 of 8 slots for priority -10", s.Shares, err)
	}

	stop()
	time.Sleep(time.Second) // it is idle
	served, began := c.load.Count([]string{"batch"})[0], time.Now()
	c.start("batch", 20, last)
	for c.load.Count([]string{"batch"})[0] < served+2 {
		if time.Since(began) > processes.Patience {
			t.Fatal("back from idleness, batch is not served")
		}
		time.Sleep(time.Millisecond)
	}
	t.Logf("back from idleness, its second request is answered after %v", time.Since(began).Round(time.Millisecond))
	c.share("back from idleness", 200, 0.22, 0.29)

	c.redis.Kill()
	c.redis.Run()
	c.load.Next(100, "batch", "flood")
	c.share("after Redis started empty", 200, 0.22, 0.29)

	c.guarantee("2%", c.replicas...) // of 8 slots: a sixth of one
	c.share("a guarantee of 2%", 600, 0.013, 0.035)
	c.guarantee("25%", c.replicas...)

	c.replicas[0].Kill()
	c.load.Next(200, "batch", "flood")
	c.share("without the replica of half the flood", 200, 0.22, 0.5) // its slots may still be missing

	c.replicas[1].Kill()
	endFlood()
	c.load.Next(100, "batch", "flood")
	c.share("alone", 100, 0.99, 1)
}

// TestGuaranteeOnOneReplica is the same on one, for comparison.
func TestGuaranteeOnOneReplica(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 12 s")
	}
	t.Parallel() // it mostly waits
	c := startCrowd(t, 1)
	stop := c.start("flood", 40, c.replicas[0])
	c.start("batch", 20, c.replicas[0])
	c.load.Next(100, "batch", "flood")
	c.share("a flood of a higher priority", 200, 0.23, 0.28)
	c.guarantee("2%", c.replicas...)
	c.share("a guarantee of 2%", 500, 0.013, 0.035)
	stop()
	c.load.Next(50, "batch", "flood")
	c.share("alone", 100, 0.99, 1)
}
