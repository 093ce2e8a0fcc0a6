package adversary

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestSlowRedis has every answer of Redis take up to 300 ms longer: turns that succeed
// are no loss of the ledger, so nobody's share shrinks and no ticket moves to and fro.
// The limit holds, tenants get equal parts, and the replicas say that the ledger is slow.
func TestSlowRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	t.Parallel() // it mostly waits
	const roundTrip = 300 * time.Millisecond
	redis, servers := redistest.Start(t), processes.StartServers(t, 2, processes.Limit/2)
	way := processes.StartDelay(t, redis.Address)
	c := &processes.Cluster{T: t, Redis: redis, Servers: servers}
	url := strings.Replace(redis.URL(), redis.Address, way.Address, 1)
	for i := range 3 {
		c.Add(fmt.Sprint("r", i), "--redis", url)
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })
	load, ctx := processes.StartLoad(t)
	var tenants []string
	for i := range 6 {
		tenants = append(tenants, fmt.Sprint("tenant-", i))
		load.Tenant(ctx, tenants[i], 12, c.Replicas[i%3])
	}
	fast, _ := load.Window(2*time.Second, tenants...)
	way.Set(roundTrip, 0)
	time.Sleep(3 * time.Second)
	servers.Peak.Store(0)
	const window = 8 * time.Second
	requests, jain := load.Window(window, tenants...)
	t.Logf("%.0f requests/s instead of %.0f, Jain index %.3f, at most %d of %d in flight",
		float64(requests)/window.Seconds(), float64(fast)/2, jain, servers.Peak.Load(), processes.Limit)
	if peak := servers.Peak.Load(); peak <= processes.Limit/2 {
		t.Errorf("at most %d of %d in flight: the replicas took the ledger for lost, and left each other shares", peak, processes.Limit)
	}
	c.WithinLimit("a slow ledger")
	if jain < 0.98 {
		t.Errorf("Jain index %.3f, want at least 0.98", jain)
	}
	for _, r := range c.Replicas {
		if pool, err := processes.Get[api.Pool](r, "/v1/pool?scope=replica"); err != nil || pool.Ledger.State != string(core.Slow) {
			t.Errorf("%s says that the ledger is %q, want slow (%v)", r.ID, pool.Ledger.State, err)
		}
	}
}
