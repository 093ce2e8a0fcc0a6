package integration

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/test/extproc"
)

// askByDriver makes the load's request as Envoy would.
func askByDriver(ctx context.Context, id string, r *replica) error {
	res, err := r.do(ctx, extproc.Request{
		Method: http.MethodPost, Path: "/v1/completions",
		Headers: map[string]string{"content-type": "application/json", "x-llm-d-inference-fairness-id": id},
		Body:    [][]byte{[]byte(`{"model":"simulated","prompt":"hi","max_tokens":16}`)},
	})
	if err == nil && res.Status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", res.Status, res.Body)
	}
	return err
}

// startProcessors starts three replicas behind the driver.
func startProcessors(t *testing.T) (*cluster, *extproc.Cluster) {
	t.Helper()
	c := startCluster(t, 0)
	var addresses []string
	for n := range 3 {
		addresses = append(addresses, c.add(fmt.Sprint("r", n+1), "--ext-proc", "127.0.0.1:0").extProc)
	}
	c.wait("everybody knows everybody", 5*time.Second, func() bool { return c.agree(3) })
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
	c, envoy := startProcessors(t)
	l, ctx := startLoad(t)
	spread := &replica{id: "envoy", do: envoy.Do}
	pinned := &replica{id: "r1", do: envoy.Replica(0).Do}
	tenants := []string{"spread-a", "spread-b", "spread-c", "pinned-a", "pinned-b"}
	for _, id := range tenants[:3] {
		l.tenant(ctx, id, 24, spread)
	}
	l.tenant(ctx, "pinned-a", 72, pinned)
	l.tenant(ctx, "pinned-b", 12, pinned)
	time.Sleep(1500 * time.Millisecond)
	c.even("by ext_proc", l, tenants)
	c.withinLimit("by ext_proc")
	c.noneFailed("by ext_proc", l, nil)
}

// TestProcessorLeaves ends a replica under load with SIGTERM: whoever waits there is
// served, and new requests go to the others.
func TestProcessorLeaves(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	c, envoy := startProcessors(t)
	l, ctx := startLoad(t)
	tenants := []string{"a", "b", "c"}
	for _, id := range tenants {
		l.tenant(ctx, id, 40, &replica{id: "envoy", do: envoy.Do})
	}
	time.Sleep(time.Second)
	leaver := c.replicas[2]
	pool, err := get[gateway.PoolStatus](leaver, "/v1/pool")
	if err != nil || pool.Queued < 50 {
		t.Fatalf("%d requests wait, %v", pool.Queued, err)
	}
	began := time.Now()
	c.stop(leaver)
	t.Logf("one of three left within %v while %d requests waited in the fleet", time.Since(began), pool.Queued)
	c.replicas = c.replicas[:2]
	time.Sleep(500 * time.Millisecond)
	c.even("a replica left", l, tenants)
	c.withinLimit("a replica left")
	c.noneFailed("a replica left", l, nil)
}
