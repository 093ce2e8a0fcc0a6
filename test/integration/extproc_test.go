package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/extproc"
	"github.com/weirflow/weir/test/processes"
)

// startProcessors starts three replicas behind the driver.
func startProcessors(t *testing.T) (*processes.Cluster, *extproc.Cluster) {
	t.Helper()
	c := processes.StartCluster(t, 0)
	var addresses []string
	for n := range 3 {
		addresses = append(addresses, c.Add(fmt.Sprint("r", n+1), "--ext-proc", "127.0.0.1:0").ExtProc)
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })
	envoy, err := extproc.Dial(addresses...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(envoy.Close)
	return c, envoy
}

// TestProcessors has the driver spread requests over three replicas, and two tenants
// come in by one of them alone: limit and fairness are as by HTTP.
func TestProcessors(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	t.Parallel() // it mostly waits
	c, envoy := startProcessors(t)
	l, ctx := processes.StartLoad(t)
	spread := &processes.Replica{ID: "envoy", Do: envoy.Do}
	pinned := &processes.Replica{ID: "r1", Do: envoy.Replica(0).Do}
	tenants := []string{"spread-a", "spread-b", "spread-c", "pinned-a", "pinned-b"}
	for _, id := range tenants[:3] {
		l.Tenant(ctx, id, 24, spread)
	}
	l.Tenant(ctx, "pinned-a", 72, pinned)
	l.Tenant(ctx, "pinned-b", 12, pinned)
	l.Next(300, tenants...)
	c.Even("by ext_proc", l, tenants)
	c.WithinLimit("by ext_proc")
	c.NoneFailed("by ext_proc", l, nil)
}

// TestProcessorLeaves ends a replica under load with SIGTERM: whoever waits there is
// served, and new requests go to the others.
func TestProcessorLeaves(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	t.Parallel() // it mostly waits
	c, envoy := startProcessors(t)
	l, ctx := processes.StartLoad(t)
	tenants := []string{"a", "b", "c"}
	for _, id := range tenants {
		l.Tenant(ctx, id, 40, &processes.Replica{ID: "envoy", Do: envoy.Do})
	}
	leaver := c.Replicas[2]
	var pool api.Pool
	c.Wait("50 requests wait", processes.Patience, func() (enough bool) {
		var err error
		pool, err = processes.Get[api.Pool](leaver, "/v1/pool")
		return err == nil && pool.Queued >= 50
	})
	began := time.Now()
	c.Stop(leaver)
	t.Logf("one of three left within %v while %d requests waited in the fleet", time.Since(began), pool.Queued)
	c.Replicas = c.Replicas[:2]
	l.Next(100, tenants...)
	c.Even("a replica left", l, tenants)
	c.WithinLimit("a replica left")
	c.NoneFailed("a replica left", l, nil)
}
