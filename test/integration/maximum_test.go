package integration

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestMaximum keeps a group to its maximum on real processes over Redis: alone it has exactly
// that of the pool, whichever replicas and priorities its requests come in by, and a reload
// changes it. It holds after the ledger was lost, and what it leaves goes to others.
func TestMaximum(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	t.Parallel() // it mostly waits
	for _, replicas := range []int{3, 1} {
		t.Run(fmt.Sprint(replicas, "_replicas"), func(t *testing.T) { keepsToMaximum(t, replicas) })
	}
}

func keepsToMaximum(t *testing.T, replicas int) {
	c := &crowd{T: t, config: newConfigured(t), redis: redistest.Start(t)}
	atMost := func(maximum string) string {
		return `
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 8}}]
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}
weir:
  groups: [{name: acme}, {name: acme/product, maximum: ` + maximum + `}, {name: zeta}]
  flows: [{id: acme/product/urgent, priority: 10}]
`
	}
	c.config.write(atMost("50%"))
	s := processes.StartServers(t, 1, 8)
	for n := range replicas {
		c.replicas = append(c.replicas, processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", fmt.Sprint("r", n), s, "--config", c.config.file, "--redis", c.redis.URL()))
	}
	c.load, _ = processes.StartLoad(t)
	f := &processes.Cluster{T: t, Replicas: c.replicas}
	// measured wants a number of requests at the model server: reached, and never passed. How
	// close to it they are on average is for who reads it: it depends on what else runs.
	measured := func(what string, most int64) {
		t.Helper()
		s.Peak.Store(0)
		f.Wait(what, processes.Patience, func() bool { return s.Peak.Load() >= most })
		sum, n := 0.0, 0
		for began := time.Now(); time.Since(began) < time.Second; n++ {
			sum += float64(s.InFlight.Load())
			time.Sleep(time.Millisecond)
		}
		mean, peak := sum/float64(n), s.Peak.Load()
		t.Logf("%s, %d replicas: %.2f in flight on average, %d at most", what, replicas, mean, peak)
		if peak != most {
			t.Errorf("%s: %d in flight at most, want %d", what, peak, most)
		}
	}
	c.start("acme/product/a", 12, c.replicas[0])
	c.start("acme/product/b", 12, c.replicas[1%replicas])
	c.start("acme/product/urgent", 2, c.replicas[2%replicas])
	measured("half of 8 slots, alone", 4)
	shares, err := processes.Get[api.Shares](c.replicas[replicas-1], "/v1/shares")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(shares.Groups, func(g api.GroupShare) bool {
		return g.Group == "acme/product" && g.Maximum != nil && *g.Maximum == 4 && g.InFlightOfAll <= 4
	}) {
		t.Errorf("/v1/shares does not have the maximum of 4: %+v", shares.Groups)
	}
	c.redis.Kill()
	c.redis.Run()
	f.Wait("all have the ledger again", processes.Patience, f.Connected)
	c.load.Next(50, "acme/product/a", "acme/product/b")
	measured("after Redis started empty", 4)
	c.config.reload(atMost("2"), c.replicas...)
	f.Wait("there are no more than 2", processes.Patience, func() bool { return s.InFlight.Load() <= 2 })
	measured("at most 2, by a reload", 2)
	c.start("zeta/z", 20, c.replicas[0])
	measured("with another group", 8)
}
