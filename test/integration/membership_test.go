package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// stop ends a replica in good order and wants it to succeed.
func (c *cluster) stop(r *replica) {
	c.t.Helper()
	if err := r.process.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	if err := r.process.Wait(); err != nil {
		c.t.Errorf("%s after SIGTERM: %v", r.id, err)
	}
}

// TestRollingRestart restarts all three replicas one after the other under load.
// Clients turn to another replica when a connection is refused, and see no other
// failure.
func TestRollingRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	c := startCluster(t, 3)
	l, ctx := startLoad(t)
	var at [3]atomic.Pointer[replica]
	for i, r := range c.replicas {
		at[i].Store(r)
	}
	var served, failed atomic.Int64
	for i := range 60 {
		l.clients.Go(func() {
			for try := i; ctx.Err() == nil; {
				err := l.ask(ctx, fmt.Sprint("tenant-", i%5), at[try%3].Load())
				var dial *net.OpError
				switch {
				case ctx.Err() != nil:
				case err == nil:
					served.Add(1)
				case errors.As(err, &dial) && dial.Op == "dial": // refused, or reset before it was taken
					try++
				default:
					failed.Add(1)
					t.Errorf("a request failed: %v", err)
				}
			}
		})
	}
	time.Sleep(time.Second)
	for i := range 3 {
		old := c.replicas[i]
		began := time.Now()
		c.stop(old)
		t.Logf("%s left within %v", old.id, time.Since(began))
		r := c.add(old.id)
		c.replicas = append(c.replicas[:3], c.replicas[4:]...)
		c.replicas[i] = r
		at[i].Store(r)
		c.wait("it is back", 10*time.Second, func() bool { return c.agree(3) })
		time.Sleep(500 * time.Millisecond)
	}
	l.stop()
	l.clients.Wait()
	t.Logf("%d requests served, %d failed", served.Load(), failed.Load())
	if served.Load() < 500 {
		t.Errorf("%d requests served, want at least 500", served.Load())
	}
	c.withinLimit("rolling restart")
}

// TestScaleOutAndIn takes a fleet from three replicas to six and back: only the
// shards of who comes and goes may move.
func TestScaleOutAndIn(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	c := startCluster(t, 3)
	l, tenants := c.uneven()
	before := c.owners(c.replicas[0])
	for n := 4; n <= 6; n++ {
		id := fmt.Sprint("r", n)
		c.add(id)
		c.wait("it is known", 5*time.Second, func() bool { return c.agree(n) })
		after, moved := c.owners(c.replicas[0]), 0
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
	c.even("six replicas", l, tenants)
	for n := 5; n >= 3; n-- {
		gone := c.replicas[n]
		c.replicas = c.replicas[:n]
		c.stop(gone)
		c.wait("it is gone", 3*time.Second, func() bool { return c.owned(c.replicas[0], gone.id) == 0 })
		after := c.owners(c.replicas[0])
		for i := range after {
			if before[i].Owner != after[i].Owner && before[i].Owner != gone.id {
				t.Errorf("shard %d moved from %s to %s when %s went", i, before[i].Owner, after[i].Owner, gone.id)
			}
		}
		before = after
	}
	c.even("three replicas again", l, tenants)
	c.withinLimit("scaling")
	c.noneFailed("scaling", l, nil)
}

// TestDuplicateID starts a second process under a live replica's id: it is
// refused with words that say so, and the first goes on.
func TestDuplicateID(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	c := startCluster(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "serve", "--replica-id", "r1", "--redis", c.redis.URL(), "--upstream", c.servers.urls[0],
		"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--gossip", "127.0.0.1:0", "--join", c.replicas[1].gossip).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another process runs as replica") {
		t.Errorf("a second r1: %v\n%s", err, out)
	}
	l, loadCtx := startLoad(t)
	if err := l.ask(loadCtx, "a", c.replicas[0]); err != nil {
		t.Errorf("the first r1 after that: %v", err)
	}
	if !c.agree(2) {
		t.Error("the fleet does not agree after that")
	}
}
