package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// TestRollingRestart restarts all three replicas one after the other under load.
// Clients turn to another replica when a connection is refused, and see no other
// failure.
func TestRollingRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 3)
	l := startRetrying(t, c.Replicas, true)
	l.more(c, 150)
	for i := range 3 {
		old := c.Replicas[i]
		began := time.Now()
		c.Stop(old)
		t.Logf("%s left within %v", old.ID, time.Since(began))
		r := c.Add(old.ID)
		c.Replicas = append(c.Replicas[:3], c.Replicas[4:]...)
		c.Replicas[i] = r
		l.at[i].Store(r)
		c.Wait("it is back", processes.Patience, func() bool { return c.Agree(3) })
		l.more(c, 150)
	}
	l.Stop()
	l.Clients.Wait()
	t.Logf("%d requests served, %d failed", l.served.Load(), l.failed.Load())
	c.WithinLimit("rolling restart")
}

// retrying is a load of five tenants whose clients turn to the next replica when a
// connection is refused. No request of theirs may fail otherwise.
type retrying struct {
	*processes.Load
	at             []atomic.Pointer[processes.Replica]
	served, failed atomic.Int64
}

// startRetrying starts 60 clients, as many of which begin at each of the replicas. They keep their
// connections, or make one for each request: what is sent on one that was idle may meet its end.
func startRetrying(t *testing.T, replicas []*processes.Replica, keep bool) *retrying {
	load, ctx := processes.StartLoad(t)
	load.Client.Transport = &http.Transport{MaxIdleConnsPerHost: 256, DisableKeepAlives: !keep}
	l := &retrying{Load: load, at: make([]atomic.Pointer[processes.Replica], len(replicas))}
	for i, r := range replicas {
		l.at[i].Store(r)
	}
	for i := range 60 {
		l.Clients.Go(func() {
			for try := i; ctx.Err() == nil; {
				err := l.Ask(ctx, fmt.Sprint("tenant-", i%5), l.at[try%len(l.at)].Load())
				var dial *net.OpError
				switch {
				case ctx.Err() != nil:
				case err == nil:
					l.served.Add(1)
				case errors.As(err, &dial) && dial.Op == "dial": // refused, or reset before it was taken
					try++
				default:
					l.failed.Add(1)
					t.Errorf("a request failed: %v", err)
				}
			}
		})
	}
	return l
}

// more waits until so many more are served.
func (l *retrying) more(c *processes.Cluster, requests int64) {
	c.T.Helper()
	before := l.served.Load()
	c.Wait(fmt.Sprint(requests, " more requests are served"), processes.Patience, func() bool { return l.served.Load() >= before+requests })
}

// TestScaleOutAndIn takes a fleet from three replicas to six and back: only the
// shards of who comes and goes may move.
func TestScaleOutAndIn(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 3)
	l, tenants := c.Uneven()
	before := c.Owners(c.Replicas[0])
	for n := 4; n <= 6; n++ {
		id := fmt.Sprint("r", n)
		c.Add(id)
		c.Wait("it is known", processes.Patience, func() bool { return c.Agree(n) })
		after, moved := c.Owners(c.Replicas[0]), 0
		for i := range after {
			if before[i].Owner != after[i].Owner {
				moved++
				if after[i].Owner != id {
					t.Errorf("shard %d moved from %s to %s when %s came", i, before[i].Owner, after[i].Owner, id)
				}
			}
		}
		t.Logf("%d replicas: %d of %d shards moved", n, moved, len(after))
		if moved == 0 {
			t.Errorf("%d replicas: no shard moved", n)
		}
		before = after
	}
	c.Even("six replicas", l, tenants)
	for n := 5; n >= 3; n-- {
		gone := c.Replicas[n]
		c.Replicas = c.Replicas[:n]
		c.Stop(gone)
		c.Wait("it is gone", processes.Patience, func() bool { return c.Owned(c.Replicas[0], gone.ID) == 0 })
		after := c.Owners(c.Replicas[0])
		for i := range after {
			if before[i].Owner != after[i].Owner && before[i].Owner != gone.ID {
				t.Errorf("shard %d moved from %s to %s when %s went", i, before[i].Owner, after[i].Owner, gone.ID)
			}
		}
		before = after
	}
	c.Even("three replicas again", l, tenants)
	c.WithinLimit("scaling")
	c.NoneFailed("scaling", l, nil)
}

// TestDuplicateID starts a second process under a live replica's id: it is
// refused with words that say so, and the first goes on.
func TestDuplicateID(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, processes.Binary(), "serve", "--replica-id", "r1", "--redis", c.Redis.URL(), "--upstream", c.Servers.URLs[0],
		"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--gossip", "127.0.0.1:0", "--join", c.Replicas[1].Gossip).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another process runs as replica") {
		t.Errorf("a second r1: %v\n%s", err, out)
	}
	l, loadCtx := processes.StartLoad(t)
	if err := l.Ask(loadCtx, "a", c.Replicas[0]); err != nil {
		t.Errorf("the first r1 after that: %v", err)
	}
	c.Wait("the fleet agrees after that", processes.Patience, func() bool { return c.Agree(2) })
}
