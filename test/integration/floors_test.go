package integration

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestFloors holds what a group is guaranteed against a flood of a higher priority, on real
// processes over Redis: over the group's own priorities together, after the ledger was lost,
// when a reload halves it, and beside a guarantee within the group. Alone it has the whole
// pool.
func TestFloors(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 35 s")
	}
	for _, replicas := range []int{3, 1} {
		t.Run(fmt.Sprint(replicas, "_replicas"), func(t *testing.T) { floorsHold(t, replicas) })
	}
}

func floorsHold(t *testing.T, replicas int) {
	c := &crowd{T: t, config: newConfigured(t), redis: redistest.Start(t)}
	configure := func(acme, team string) {
		c.config.write(`
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 8}}]
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}
weir:
  flows: [{id: acme/batch, priority: -10}, {id: acme/team/x, priority: -20}, {id: flood, priority: 10}]
  groups:
  - {name: acme, guaranteed: ` + acme + `}
  - {name: acme/team, guaranteed: ` + team + `}
  - {name: zeta}
`)
	}
	configure("30%", "10%")
	s := processes.StartServers(t, 1, 8)
	for n := range replicas {
		c.replicas = append(c.replicas, processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", fmt.Sprint("r", n), s, "--config", c.config.file, "--redis", c.redis.URL()))
	}
	c.load, _ = processes.StartLoad(t)
	last := c.replicas[len(c.replicas)-1]
	var stops []func()
	for _, r := range c.replicas {
		stops = append(stops, c.start("flood", 36/replicas, r))
	}
	c.start("acme/chat", 1, c.replicas[0]) // of priority 0: less than the guarantee
	c.start("acme/batch", 20, last)
	c.start("acme/team/x", 10, c.replicas[0])
	tenants := []string{"acme/chat", "acme/batch", "acme/team/x", "flood", "zeta/z"}
	share := func(what string, d time.Duration, acme, team float64) {
		t.Helper()
		before := c.load.Count(tenants)
		time.Sleep(d)
		after := c.load.Count(tenants)
		sum, parts := 0.0, make([]float64, len(tenants))
		for i := range tenants {
			parts[i] = float64(after[i] - before[i])
			sum += parts[i]
		}
		got, inner := (parts[0]+parts[1]+parts[2])/sum, parts[2]/sum
		t.Logf("%s, %d replicas: acme %.1f%% (its team %.1f%%) of %.0f requests/s", what, replicas, 100*got, 100*inner, sum/d.Seconds())
		if got < acme-0.02 || got > acme+0.08 || inner < team-0.02 { // it may have up to a slot more
			t.Errorf("%s: acme got %.1f%% and its team %.1f%% of the pool, want %.0f%% and at least %.0f%%", what, 100*got, 100*inner, 100*acme, 100*team)
		}
	}
	time.Sleep(time.Second)
	share("a flood of a higher priority", 4*time.Second, 0.3, 0.1)
	shares, err := processes.Get[api.Shares](last, "/v1/shares")
	if err != nil || len(shares.Guaranteed) != 2 || shares.Guaranteed[0].Group != "acme" || shares.Guaranteed[0].Guaranteed != 2.4 || shares.Guaranteed[1].Guaranteed != 0.8 {
		t.Errorf("/v1/shares: %+v, %v; want 2.4 of 8 slots for acme, and 0.8 for its team", shares.Guaranteed, err)
	}
	c.redis.Kill()
	c.redis.Run()
	time.Sleep(1500 * time.Millisecond)
	share("after Redis started empty", 3*time.Second, 0.3, 0.1)
	configure("15%", "5%")
	time.Sleep(2 * time.Second)
	share("once a reload halved it", 4*time.Second, 0.15, 0.05)
	for _, stop := range stops {
		stop()
	}
	time.Sleep(500 * time.Millisecond)
	share("alone", time.Second, 1, 0.05)
}
