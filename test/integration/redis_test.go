package integration

import (
	"context"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/internal/redistest"
)

// limit is what the two model servers take together.
const limit = 24

// TestSharedLimitThroughFaults has three replicas share a limit of 24 through
// one Redis while Redis is wiped, killed, stalled, and a replica is killed.
func TestSharedLimitThroughFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 40 s")
	}
	t.Parallel() // it mostly waits
	server := redistest.Start(t)
	s := startServers(t, 2, limit/2)
	var replicas []*replica
	for _, id := range []string{"one", "two", "three"} {
		replicas = append(replicas, startReplica(t, id, s, "--redis", server.URL(), "--max-concurrency", "12"))
	}
	l, ctx := startLoad(t)
	tenants := []string{"everywhere", "one-a", "one-b", "one-c", "two-a"}
	for _, r := range replicas {
		l.tenant(ctx, "everywhere", 16, r)
	}
	for _, id := range tenants[1:4] {
		l.tenant(ctx, id, 32, replicas[0])
	}
	l.tenant(ctx, "two-a", 32, replicas[1])
	time.Sleep(2 * time.Second)

	var dead *replica
	check := func(what string) {
		t.Helper()
		time.Sleep(2 * time.Second) // fairness must be back by then
		requests, jain := l.window(3*time.Second, tenants...)
		t.Logf("%s: %.0f requests/s, Jain index %.4f, at most %d of %d in flight", what, float64(requests)/3, jain, s.peak.Load(), limit)
		if jain < 0.98 {
			t.Errorf("%s: Jain index %.4f, want at least 0.98", what, jain)
		}
		if peak := s.peak.Load(); peak > limit {
			t.Errorf("%s: %d requests in flight, the limit is %d", what, peak, limit)
		}
		if requests < 300 {
			t.Errorf("%s: %d requests in 3 s, want at least 300", what, requests)
		}
		for _, f := range l.failed(dead) {
			t.Errorf("%s: a request failed: %v", what, f.err)
			break
		}
		s.peak.Store(0)
	}
	check("undisturbed")

	client := goredis.NewClient(&goredis.Options{Addr: server.Address})
	defer client.Close() //nolint:errcheck // a test
	if err := client.FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	check("FLUSHALL")

	server.Kill()
	time.Sleep(3 * time.Second)
	server.Run()
	check("killed and restarted empty")

	server.Signal(syscall.SIGSTOP)
	time.Sleep(5 * time.Second)
	server.Signal(syscall.SIGCONT)
	check("stopped for 5 s")

	dead = replicas[2]
	dead.kill()
	check("a replica killed")
}
