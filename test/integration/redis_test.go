package integration

import (
	"context"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// shared is three replicas that share the limit through one ledger, under load by five
// tenants that come in unevenly.
type shared struct {
	t        *testing.T
	servers  *processes.Servers
	load     *processes.Load
	replicas []*processes.Replica
	tenants  []string
	dead     *processes.Replica // whose requests may fail
}

func startShared(t *testing.T, args ...string) *shared {
	t.Helper()
	s := &shared{t: t, servers: processes.StartServers(t, 2, processes.Limit/2), tenants: []string{"everywhere", "one-a", "one-b", "one-c", "two-a"}}
	for _, id := range []string{"one", "two", "three"} {
		s.replicas = append(s.replicas, processes.Start(t, id, s.servers, append([]string{"--max-concurrency", "12"}, args...)...))
	}
	l, ctx := processes.StartLoad(t)
	s.load = l
	for _, r := range s.replicas {
		l.Tenant(ctx, "everywhere", 16, r)
	}
	for _, id := range s.tenants[1:4] {
		l.Tenant(ctx, id, 32, s.replicas[0])
	}
	l.Tenant(ctx, "two-a", 32, s.replicas[1])
	l.Next(200, s.tenants...)
	return s
}

// check looks at the load from 2 s after what happened, and at the most that was in flight
// since it was last called.
func (s *shared) check(what string) {
	s.t.Helper()
	time.Sleep(2 * time.Second) // fairness must be back by then
	began := time.Now()
	got := s.load.Next(500, s.tenants...)
	jain, peak := processes.Jain(got), s.servers.Peak.Load()
	s.t.Logf("%s: 500 requests in %v, Jain index %.4f, at most %d of %d in flight", what, time.Since(began), jain, peak, processes.Limit)
	if jain < 0.98 {
		s.t.Errorf("%s: the tenants %v got %v requests, Jain index %.4f, want at least 0.98", what, s.tenants, got, jain)
	}
	if peak > processes.Limit {
		s.t.Errorf("%s: %d requests in flight, the limit is %d", what, peak, processes.Limit)
	}
	for _, f := range s.load.Failed(s.dead) {
		s.t.Errorf("%s: a request failed: %v", what, f.Err)
		break
	}
	s.servers.Peak.Store(0)
}

// TestSharedLimitThroughFaults has three replicas share a limit of 24 through
// one Redis while Redis is wiped, killed, stalled, and a replica is killed.
func TestSharedLimitThroughFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 40 s")
	}
	t.Parallel() // it mostly waits
	server := redistest.Start(t)
	s := startShared(t, "--redis", server.URL())
	s.check("undisturbed")

	if err := server.Client().FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	s.check("FLUSHALL")

	server.Kill()
	time.Sleep(3 * time.Second)
	server.Run()
	s.check("killed and restarted empty")

	server.Stop()
	time.Sleep(5 * time.Second)
	server.Continue()
	s.check("stopped for 5 s")

	s.dead = s.replicas[2]
	s.dead.Kill()
	s.check("a replica killed")
}

// TestFailOver kills the server that holds the ledger, of a pair that Sentinels watch
// and of a cluster, and wants its replica to hold it instead.
func TestFailOver(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 40 s")
	}
	t.Parallel() // it mostly waits
	t.Run("sentinels", func(t *testing.T) {
		t.Parallel()
		master, replica, url := redistest.StartSentinels(t)
		failOver(t, master, replica, url)
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		nodes, url := redistest.StartCluster(t, 3)
		master := redistest.HolderOf(t, nodes, "{default}")
		failOver(t, master, redistest.StartReplica(t, master), url)
	})
}

func failOver(t *testing.T, master, replica *redistest.Server, url string) {
	s := startShared(t, "--redis", url)
	s.check("undisturbed")
	master.Kill()
	began := time.Now()
	replica.AwaitMaster()
	t.Logf("another holds the ledger after %v", time.Since(began).Round(10*time.Millisecond))
	s.check("failed over")
	if keys, err := replica.Client().Exists(t.Context(), "weir:{default}").Result(); err != nil || keys != 1 {
		t.Errorf("the ledger is not at the server that took over: %d, %v", keys, err)
	}
	s.check("later")
}
