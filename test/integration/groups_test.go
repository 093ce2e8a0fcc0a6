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
	for _, replicas := range []int{3, 1} {
		t.Run(fmt.Sprint(replicas, "_replicas"), func(t *testing.T) { groupsShare(t, replicas) })
	}
}

func groupsShare(t *testing.T, replicas int) {
	c := &crowd{T: t, config: newConfigured(t), redis: redistest.Start(t)}
	configure := func(weight int) {
		c.config.write(fmt.Sprintf(`
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 8}}]
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}
weir:
  groups: [{name: acme, weight: %d}, {name: acme/research}, {name: acme/product, weight: 2}, {name: zeta}]
`, weight))
	}
	configure(3)
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
	share := func(what string, d time.Duration, research, product float64) {
		t.Helper()
		before := c.load.Count(tenants)
		time.Sleep(d)
		after := c.load.Count(tenants)
		all := 0.0
		for i := range after {
			all += float64(after[i] - before[i])
		}
		r, p := float64(after[0]-before[0])/all, float64(after[1]-before[1])/all
		t.Logf("%s, %d replicas: %.1f%%, %.1f%% and %.1f%% of %.0f requests/s", what, replicas, 100*r, 100*p, 100*(1-r-p), all/d.Seconds())
		if r < research-0.02 || r > research+0.02 || p < product-0.02 || p > product+0.02 {
			t.Errorf("%s: the teams got %.1f%% and %.1f%%, want %.1f%% and %.1f%%", what, 100*r, 100*p, 100*research, 100*product)
		}
	}
	time.Sleep(time.Second)
	share("weights 3 (1 and 2) and 1", 3*time.Second, 0.25, 0.5)
	c.redis.Kill()
	c.redis.Run()
	time.Sleep(1500 * time.Millisecond)
	share("after Redis started empty", 3*time.Second, 0.25, 0.5)
	configure(1)
	time.Sleep(2 * time.Second)
	share("weights 1 (1 and 2) and 1", 3*time.Second, 1./6, 1./3)
}
