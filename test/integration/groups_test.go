package integration

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestGroups has groups share a pool of 8 slots by their weights on real processes over
// Redis, whichever replicas their flows come in by: two teams of one tenant by a replica
// each, and another tenant, which spreads over ten flows, by the third. It holds after the
// ledger was lost, and a reload changes the weights.
func TestGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 30 s")
	}
	t.Parallel() // it mostly waits
	for _, replicas := range []int{3, 1} {
		t.Run(fmt.Sprint(replicas, "_replicas"), func(t *testing.T) { groupsShare(t, replicas) })
	}
}

func groupsShare(t *testing.T, replicas int) {
	c := &crowd{T: t, config: newConfigured(t), redis: redistest.Start(t)}
	weighing := func(weight int) string {
		return fmt.Sprintf(`
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 8}}]
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}
weir:
  groups: [{name: acme, weight: %d}, {name: acme/research}, {name: acme/product, weight: 2}, {name: zeta}]
`, weight)
	}
	c.config.write(weighing(3))
	s := processes.StartServers(t, 1, 8)
	for n := range replicas {
		c.replicas = append(c.replicas, processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", fmt.Sprint("r", n), s, "--config", c.config.file, "--redis", c.redis.URL()))
	}
	c.load, _ = processes.StartLoad(t)
	c.start("acme/research/r", 20, c.replicas[0])
	c.start("acme/product/p", 20, c.replicas[1%replicas])
	tenants := []string{"acme/research/r", "acme/product/p"}
	for n := range 10 {
		tenants = append(tenants, fmt.Sprint("zeta/", n))
		c.start(tenants[n+2], 4, c.replicas[2%replicas])
	}
	share := func(what string, research, product float64) {
		t.Helper()
		began, all := time.Now(), 0
		got := c.load.Next(300, tenants...)
		for _, n := range got {
			all += n
		}
		r, p := float64(got[0])/float64(all), float64(got[1])/float64(all)
		t.Logf("%s, %d replicas: %.1f%%, %.1f%% and %.1f%% of %d requests in %v", what, replicas, 100*r, 100*p, 100*(1-r-p), all, time.Since(began))
		if r < research-0.02 || r > research+0.02 || p < product-0.02 || p > product+0.02 {
			t.Errorf("%s: the teams got %.1f%% and %.1f%%, want %.1f%% and %.1f%%", what, 100*r, 100*p, 100*research, 100*product)
		}
	}
	c.load.Next(100, tenants...)
	share("weights 3 (1 and 2) and 1", 0.25, 0.5)
	c.redis.Kill()
	c.redis.Run()
	c.load.Next(100, tenants...)
	share("after Redis started empty", 0.25, 0.5)
	c.config.reload(weighing(1), c.replicas...)
	c.load.Next(100, tenants...)
	share("weights 1 (1 and 2) and 1", 1./6, 1./3)
}
