package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestUnlistedServerStillRuns has a replica's list of model servers be empty for a while, as it is where
// what lists them fails, while requests that came in by it run at one of two that another replica lists:
// they count there, so that neither ever has more than it takes, and whoever waits is served in the end.
func TestUnlistedServerStillRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 6 s")
	}
	t.Parallel() // it mostly waits
	const takes = 2
	servers := []*processes.Servers{processes.StartServers(t, 1, takes), processes.StartServers(t, 1, takes)}
	var entries []string
	for i, s := range servers {
		entries = append(entries, s.Entry(0, fmt.Sprint("server-", i)))
	}
	redis, dir := redistest.Start(t), t.TempDir()
	list := func(r, text string) string {
		t.Helper()
		file := filepath.Join(dir, r)
		processes.Put(t, file, text)
		return file
	}
	start := func(id, listed string) *processes.Replica {
		return processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", id, &processes.Servers{},
			"--max-concurrency", fmt.Sprint(takes), "--redis", redis.URL(), "--endpoints-file", list(id, listed))
	}
	one, other := start("one", entries[0]), start("other", entries[0]+entries[1])
	c := &processes.Cluster{T: t, Replicas: []*processes.Replica{one, other}}
	c.Wait("both have the ledger", processes.Patience, c.Connected)

	l, ctx := processes.StartLoad(t)
	l.Tokens = func(tenant string) int {
		if tenant == "long" {
			return 800 // 4 s
		}
		return 16
	}
	ask := func(tenant string, requests int, r *processes.Replica) {
		for range requests {
			l.Clients.Go(func() {
				if err := l.Ask(ctx, tenant, r); err != nil {
					t.Errorf("a request of %s at %s: %v", tenant, r.ID, err)
				}
			})
		}
	}
	ask("long", takes, one)
	c.Wait("the first server is full", processes.Patience, func() bool { return servers[0].InFlight.Load() == takes })
	list("one", "[]\n")
	if !one.Says("model server left the pool", processes.Patience) {
		t.Fatal("the server is still listed")
	}
	ask("waits", 1, one)
	time.Sleep(2500 * time.Millisecond) // for what is stated in full every second
	ask("short", 4, other)
	c.Wait("the long requests have ended", processes.Patience, func() bool { return servers[0].InFlight.Load() == 0 })
	list("one", entries[0])
	l.Clients.Wait()
	for i, s := range servers {
		if peak := s.Peak.Load(); peak > takes {
			t.Errorf("%d requests in flight at server %d, which takes %d", peak, i, takes)
		}
	}
}
