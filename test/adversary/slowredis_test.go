package adversary

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/delay"
	"github.com/weirflow/weir/test/processes"
)

// TestSlowRedis has every answer of Redis take longer, by up to 450 ms and a fifth more or less:
// turns that succeed are no loss of the ledger, so nobody's share shrinks and no ticket moves to and
// fro. The limit holds, tenants get equal parts of what is served, nearly as much as beside a near Redis, and the
// replicas say that the ledger is slow.
func TestSlowRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 25 s")
	}
	t.Parallel() // it mostly waits
	slowRedis(t, 300*time.Millisecond, false, 0.7, 0.98)
}

// TestSlowRedisTable is TestSlowRedis at other round trips, and where Redis is slow for one replica
// of three.
func TestSlowRedisTable(t *testing.T) {
	slow(t)
	for _, tc := range []struct {
		roundTrip   time.Duration
		part, equal float64
	}{{50, 0.8, 0.98}, {210, 0.75, 0.98}, {450, 0.7, 0.98}} {
		t.Run(fmt.Sprint(int(tc.roundTrip), "ms"), func(t *testing.T) {
			slowRedis(t, tc.roundTrip*time.Millisecond, false, tc.part, tc.equal)
		})
	}
	t.Run("one of three", func(t *testing.T) { slowRedis(t, 300*time.Millisecond, true, 0.75, 0.98) })
}

// slowRedis wants at least so large a part of the requests of before, and that Jain index.
func slowRedis(t *testing.T, roundTrip time.Duration, one bool, least, equal float64) {
	redis, servers := redistest.Start(t), processes.StartServers(t, 2, processes.Limit/2)
	way := delay.Start(t, redis.Address)
	c := &processes.Cluster{T: t, Redis: redis, Servers: servers}
	for i := range 3 {
		url := redis.URL()
		if !one || i == 0 {
			url = strings.Replace(url, redis.Address, way.Address, 1)
		}
		c.Add(fmt.Sprint("r", i), "--redis", url)
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })
	load, ctx := processes.StartLoad(t)
	var tenants []string
	for i := range 6 {
		tenants = append(tenants, fmt.Sprint("tenant-", i))
		load.Tenant(ctx, tenants[i], 12, c.Replicas[i%3])
	}
	near, _ := load.Window(2*time.Second, tenants...)
	way.Set(roundTrip*9/10, roundTrip/5)
	time.Sleep(6 * time.Second) // until it is known how often they ask
	servers.Peak.Store(0)
	const window = 12 * time.Second
	requests, jain := load.Window(window, tenants...)
	part := float64(requests) / window.Seconds() / (float64(near) / 2)
	t.Logf("%v more: %.0f requests/s, %.0f%% of those before, Jain index %.3f, at most %d of %d in flight",
		roundTrip, float64(requests)/window.Seconds(), 100*part, jain, servers.Peak.Load(), processes.Limit)
	if peak := servers.Peak.Load(); peak <= processes.Limit/2 {
		t.Errorf("at most %d of %d in flight: the replicas took the ledger for lost, and left each other shares", peak, processes.Limit)
	}
	c.WithinLimit("a slow ledger")
	if part < least {
		t.Errorf("%.0f%% of the requests/s before, want at least %.0f%%", 100*part, 100*least)
	}
	if jain < equal {
		t.Errorf("Jain index %.3f, want at least %.2f", jain, equal)
	}
	for i, r := range c.Replicas {
		if roundTrip < 200*time.Millisecond || one && i > 0 {
			continue
		}
		if pool, err := processes.Get[api.Pool](r, "/v1/pool?scope=replica"); err != nil || pool.Ledger.State != string(core.Slow) {
			t.Errorf("%s says that the ledger is %q, want slow (%v)", r.ID, pool.Ledger.State, err)
		}
	}
}
