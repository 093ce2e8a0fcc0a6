package integration

import (
	"testing"
	"time"

	"github.com/weirflow/weir/internal/pause"
	"github.com/weirflow/weir/test/processes"
)

// TestReplicaKilled kills one of three replicas under load.
func TestReplicaKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 12 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 3)
	l, tenants := c.Uneven()
	l.Next(200, tenants...)
	c.Even("undisturbed", l, tenants)
	c.WithinLimit("undisturbed")
	dead := c.Replicas[2]
	dead.Kill()
	// It takes 0.3 s on a machine that does nothing else, and a probe more for each that is late.
	took := c.Wait("its shards are the others'", 8*time.Second, func() bool {
		return c.Owned(c.Replicas[0], dead.ID)+c.Owned(c.Replicas[1], dead.ID) == 0
	})
	t.Logf("its shards were the others' after %v", took)
	l.Next(500, tenants...)
	c.Even("a replica killed", l, tenants)
	c.WithinLimit("a replica killed")
	c.NoneFailed("a replica killed", l, dead)
}

// TestReplicaStopped stops one of three replicas for 10 s.
func TestReplicaStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 25 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 3)
	l, tenants := c.Uneven()
	l.Next(200, tenants...)
	stopped := c.Replicas[2]
	pause.Stop(t, stopped.Process.Process)
	took := c.Wait("its shards are the others'", 8*time.Second, func() bool { // as above, 1.1 s
		return c.Owned(c.Replicas[0], stopped.ID)+c.Owned(c.Replicas[1], stopped.ID) == 0
	})
	t.Logf("its shards were the others' after %v", took)
	time.Sleep(4 * time.Second)
	c.Even("a replica stopped", l, tenants)
	time.Sleep(3 * time.Second)
	c.WithinLimit("a replica stopped")
	pause.Continue(t, stopped.Process.Process)
	took = c.Wait("all agree again", processes.Patience, func() bool { return c.Agree(3) })
	t.Logf("all agreed again %v after SIGCONT", took)
	l.Next(200, tenants...)
	c.Even("going on again", l, tenants)
	c.NoneFailed("stopped and going on", l, stopped)
	c.WithinLimit("going on again")
}
