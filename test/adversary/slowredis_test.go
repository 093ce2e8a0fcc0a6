package adversary

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/delay"
	"github.com/weirflow/weir/test/processes"
)

// TestSlowRedis has every answer of Redis take longer, 300 ms and a tenth of that more or less:
// turns that succeed are no loss of the ledger, so nobody's share shrinks and no ticket moves to and
// fro. The limit holds, tenants get equal parts of what is served, nearly as much as beside a near Redis, and the
// replicas say that the ledger is slow. A caller of a higher priority at each replica, who wants little, changes
// nothing of that, and waits no longer than until a request ends there.
func TestSlowRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 25 s")
	}
	slowRedis(t, slowRun{roundTrip: 300 * time.Millisecond, urgent: true, part: 0.7, equal: 0.98})
}

// TestSlowRedisTable is TestSlowRedis at other round trips, and where Redis is slow for one replica
// of three.
func TestSlowRedisTable(t *testing.T) {
	slow(t)
	for _, tc := range []slowRun{
		{roundTrip: 50, part: 0.8, equal: 0.98},
		{roundTrip: 210, part: 0.75, equal: 0.98},
		{roundTrip: 450, part: 0.7, equal: 0.98},
		{roundTrip: 300, one: true, part: 0.75, equal: 0.98},
		{roundTrip: 38, urgent: true, part: 0.8, equal: 0.98},
		{roundTrip: 110, urgent: true, part: 0.8, equal: 0.98},
		{roundTrip: 450, urgent: true, part: 0.7, equal: 0.95},
	} {
		tc.roundTrip *= time.Millisecond
		name := fmt.Sprint(tc.roundTrip)
		if tc.one {
			name += " for one"
		}
		if tc.urgent {
			name += " beside urgent ones"
		}
		t.Run(name, func(t *testing.T) { slowRedis(t, tc) })
	}
}

// slowRun is a run of slowRedis.
type slowRun struct {
	roundTrip   time.Duration // longer than it is
	one         bool          // for one replica of three
	urgent      bool          // beside a caller of a higher priority at each
	part, equal float64       // of the requests of before, and Jain's index, at least
}

// slowRedis makes one.
func slowRedis(t *testing.T, run slowRun) {
	redis, servers := redistest.Start(t), processes.StartServers(t, 2, processes.Limit/2)
	way := delay.Start(t, redis.Address)
	c := &processes.Cluster{T: t, Redis: redis, Servers: servers}
	config := processes.NewConfiguration(t)
	config.Write(`
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 12}}, {type: round-robin-fairness-policy}]
flowControl: {saturationDetector: {pluginRef: concurrency-detector}, defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}}
weir: {objectives: [{name: urgent, priority: 10}]}
`)
	for i := range 3 {
		url := redis.URL()
		if !run.one || i == 0 {
			url = strings.Replace(url, redis.Address, way.Address, 1)
		}
		c.Add(fmt.Sprint("r", i), "--redis", url, "--config", config.File)
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })
	load, ctx := processes.StartLoad(t)
	var tenants []string
	for i := range 6 {
		tenants = append(tenants, fmt.Sprint("tenant-", i))
		load.Tenant(ctx, tenants[i], 12, c.Replicas[i%3])
	}
	var urgent urgentCallers
	if run.urgent {
		urgent.start(ctx, load, c.Replicas)
	}
	near, _ := load.Window(2*time.Second, tenants...)
	urgent.took() // nearby
	way.Set(run.roundTrip*9/10, run.roundTrip/5)
	time.Sleep(6 * time.Second) // until it is known how often they ask
	servers.Peak.Store(0)
	urgent.took()
	const window = 12 * time.Second
	requests, jain := load.Window(window, tenants...)
	part := float64(requests) / window.Seconds() / (float64(near) / 2)
	t.Logf("%v more: %.0f requests/s, %.0f%% of those before, Jain index %.3f, at most %d of %d in flight",
		run.roundTrip, float64(requests)/window.Seconds(), 100*part, jain, servers.Peak.Load(), processes.Limit)
	if peak := servers.Peak.Load(); peak <= processes.Limit/2 {
		t.Errorf("at most %d of %d in flight: the replicas took the ledger for lost, and left each other shares", peak, processes.Limit)
	}
	c.WithinLimit("a slow ledger")
	if part < run.part {
		t.Errorf("%.0f%% of the requests/s before, want at least %.0f%%", 100*part, 100*run.part)
	}
	if jain < run.equal {
		t.Errorf("Jain index %.3f, want at least %.2f", jain, run.equal)
	}
	if half, most := urgent.took(); run.urgent {
		t.Logf("requests of a higher priority took %v at p50, %v at p99", half, most)
		if half > 300*time.Millisecond {
			t.Errorf("half of the requests of a higher priority took %v or longer, and they take some 90 ms", half)
		}
	}
	for i, r := range c.Replicas {
		if run.roundTrip < 200*time.Millisecond || run.one && i > 0 {
			continue
		}
		if pool, err := processes.Get[api.Pool](r, "/v1/pool?scope=replica"); err != nil || pool.Ledger.State != string(core.Slow) {
			t.Errorf("%s says that the ledger is %q, want slow (%v)", r.ID, pool.Ledger.State, err)
		}
	}
}

// urgentCallers ask for an objective of a higher priority, and rest in between.
type urgentCallers struct {
	mu   sync.Mutex
	each []time.Duration // what their requests took
}

// start has one ask at each replica, until ctx ends.
func (u *urgentCallers) start(ctx context.Context, load *processes.Load, replicas []*processes.Replica) {
	for _, r := range replicas {
		load.Clients.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				if err := askFor(ctx, load.Client, r, "urgent"); err != nil {
					continue
				}
				u.mu.Lock()
				u.each = append(u.each, time.Since(began))
				u.mu.Unlock()
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
}

// took returns what half of the requests took at most since it was last called, and all but one of a
// hundred.
func (u *urgentCallers) took() (half, most time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	each := u.each
	if u.each = nil; len(each) == 0 {
		return 0, 0
	}
	slices.Sort(each)
	return each[len(each)/2], each[len(each)*99/100]
}

// askFor makes one request for an objective at a replica.
func askFor(ctx context.Context, client *http.Client, r *processes.Replica, objective string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/v1/completions", strings.NewReader(`{"model":"simulated","prompt":"hi","max_tokens":16}`))
	if err != nil {
		return err
	}
	req.Header.Set("x-llm-d-inference-objective", objective)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	if _, err = io.Copy(io.Discard, res.Body); err == nil && res.StatusCode != http.StatusOK {
		err = processes.StatusError(res.StatusCode)
	}
	return err
}
