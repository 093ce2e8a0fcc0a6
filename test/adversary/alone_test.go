package adversary

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// TestStartedJustBeforeAnOutage takes Redis from two replicas that do not gossip, as soon as the
// second serves. The first may have been told last that it is alone, and goes on with all of the
// limit; so nothing is left for the second until both have heard of each other.
func TestStartedJustBeforeAnOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 8 s")
	}
	t.Parallel() // it mostly waits
	c := processes.NewCluster(t)
	for _, id := range []string{"r1", "r2"} {
		c.Replicas = append(c.Replicas, processes.Start(t, id, c.Servers, "--redis", c.Redis.URL(), "--max-concurrency", fmt.Sprint(processes.Limit/2)))
	}
	c.Redis.Kill()
	l, ctx := processes.StartLoad(t)
	for _, r := range c.Replicas {
		l.Tenant(ctx, "a", processes.Limit, r)
	}
	time.Sleep(3 * time.Second)
	c.WithinLimit("in an outage that began as the second had started")
	c.Redis.Run()
	c.Wait("both are served again", processes.Patience, func() bool {
		return c.Connected() && l.ServedBy(c.Replicas[0]) > 50 && l.ServedBy(c.Replicas[1]) > 50
	})
	c.WithinLimit("once Redis is back")
	time.Sleep(2 * time.Second) // they have heard of each other
	before := l.ServedBy(c.Replicas[1])
	c.Redis.Kill()
	time.Sleep(3 * time.Second)
	if n := l.ServedBy(c.Replicas[1]) - before; n < 100 { // 12 at a time, 80 ms each
		t.Errorf("in a later outage the second was served %d requests in 3 s", n)
	}
	c.NoneFailed("in all", l, nil)
}
