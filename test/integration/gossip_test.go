package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/internal/redistest"
)

// cluster is a fleet of processes that gossip, and their load.
type cluster struct {
	t        *testing.T
	redis    *redistest.Server
	servers  *servers
	replicas []*replica
}

func startCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, redis: redistest.Start(t), servers: startServers(t, 2, limit/2)}
	for i := range n {
		c.add(fmt.Sprint("r", i+1))
	}
	c.wait("everybody knows everybody", 5*time.Second, func() bool { return c.agree(n) })
	return c
}

// add starts a replica that joins by the ones there are.
func (c *cluster) add(id string, args ...string) *replica {
	c.t.Helper()
	args = append([]string{
		"--redis", c.redis.URL(), "--max-concurrency", fmt.Sprint(limit / 2),
		"--gossip", "127.0.0.1:0",
	}, args...)
	for _, r := range c.replicas {
		args = append(args, "--join", r.gossip)
	}
	r := startReplica(c.t, id, c.servers, args...)
	c.replicas = append(c.replicas, r)
	return r
}

// get reads an answer of a replica's admin address.
func get[T any](r *replica, path string) (answer T, err error) {
	client := http.Client{Timeout: time.Second}
	res, err := client.Get(r.admin + path)
	if err != nil {
		return answer, err
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	return answer, json.NewDecoder(res.Body).Decode(&answer)
}

// agree reports whether n replicas see each other and draw the same map.
func (c *cluster) agree(n int) bool {
	var first []gateway.ShardStatus
	for _, r := range c.replicas[:n] {
		peers, err := get[[]gateway.ReplicaStatus](r, "/v1/replicas")
		if err != nil || len(peers) < n {
			return false
		}
		reachable := 0
		for _, p := range peers {
			if p.Live && p.Reachable {
				reachable++
			}
		}
		shards := c.owners(r)
		if reachable != n || first != nil && fmt.Sprint(shards) != fmt.Sprint(first) {
			return false
		}
		first = shards
	}
	return true
}

// owners returns the shards and their owners alone.
func (c *cluster) owners(r *replica) []gateway.ShardStatus {
	s, err := get[gateway.ShardsStatus](r, "/v1/shards")
	if err != nil {
		return nil
	}
	for i := range s.Shards {
		s.Shards[i].Flows, s.Shards[i].Queued = 0, 0
	}
	return s.Shards
}

// owned counts the shards that r thinks id owns.
func (c *cluster) owned(r *replica, id string) (n int) {
	for _, s := range c.owners(r) {
		if s.Owner == id {
			n++
		}
	}
	return n
}

// wait waits until the condition holds, and returns how long that took.
func (c *cluster) wait(what string, most time.Duration, condition func() bool) time.Duration {
	c.t.Helper()
	began := time.Now()
	for !condition() {
		if time.Since(began) > most {
			c.t.Fatalf("%s: not within %v", what, most)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// uneven starts the load: one tenant by every replica, the others by one each.
func (c *cluster) uneven() (*load, []string) {
	l, ctx := startLoad(c.t)
	tenants := []string{"everywhere", "one-a", "one-b", "one-c", "two-a"}
	for _, r := range c.replicas {
		l.tenant(ctx, "everywhere", 16, r)
	}
	for _, id := range tenants[1:4] {
		l.tenant(ctx, id, 24, c.replicas[0])
	}
	l.tenant(ctx, "two-a", 24, c.replicas[1])
	return l, tenants
}

func (c *cluster) even(what string, l *load, tenants []string) {
	c.t.Helper()
	requests, jain := l.window(2*time.Second, tenants...)
	c.t.Logf("%s: %.0f requests/s, Jain index %.4f, at most %d of %d in flight", what, float64(requests)/2, jain, c.servers.peak.Load(), limit)
	if jain < 0.98 {
		c.t.Errorf("%s: Jain index %.4f, want at least 0.98", what, jain)
	}
	if requests < 150 { // undisturbed it is about 500, on a machine that does nothing else
		c.t.Errorf("%s: %d requests in 2 s, want at least 150", what, requests)
	}
}

func (c *cluster) withinLimit(what string) {
	c.t.Helper()
	if peak := c.servers.peak.Swap(0); peak > limit {
		c.t.Errorf("%s: %d requests in flight, the limit is %d", what, peak, limit)
	}
}

func (c *cluster) noneFailed(what string, l *load, except *replica) {
	c.t.Helper()
	if failures := l.failed(except); len(failures) > 0 {
		c.t.Errorf("%s: %d requests failed, the first: %v", what, len(failures), failures[0].err)
	}
}

// TestReplicaKilled kills one of three replicas under load.
func TestReplicaKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 12 s")
	}
	c := startCluster(t, 3)
	l, tenants := c.uneven()
	time.Sleep(time.Second)
	c.even("undisturbed", l, tenants)
	c.withinLimit("undisturbed")
	dead := c.replicas[2]
	dead.kill()
	took := c.wait("its shards are the others'", 2*time.Second, func() bool {
		return c.owned(c.replicas[0], dead.id)+c.owned(c.replicas[1], dead.id) == 0
	})
	t.Logf("its shards were the others' after %v", took)
	time.Sleep(2 * time.Second)
	c.even("a replica killed", l, tenants)
	c.withinLimit("a replica killed")
	c.noneFailed("a replica killed", l, dead)
}

// TestReplicaStopped stops one of three replicas for 10 s.
func TestReplicaStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 25 s")
	}
	t.Parallel() // it mostly waits
	c := startCluster(t, 3)
	l, tenants := c.uneven()
	time.Sleep(time.Second)
	stopped := c.replicas[2]
	if err := stopped.process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	took := c.wait("its shards are the others'", 3*time.Second, func() bool {
		return c.owned(c.replicas[0], stopped.id)+c.owned(c.replicas[1], stopped.id) == 0
	})
	t.Logf("its shards were the others' after %v", took)
	time.Sleep(4 * time.Second)
	c.even("a replica stopped", l, tenants)
	time.Sleep(3 * time.Second)
	c.withinLimit("a replica stopped")
	if err := stopped.process.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	took = c.wait("all agree again", 10*time.Second, func() bool { return c.agree(3) })
	t.Logf("all agreed again %v after SIGCONT", took)
	time.Sleep(time.Second)
	c.even("going on again", l, tenants)
	c.noneFailed("stopped and going on", l, stopped)
	t.Logf("at most %d in flight after it went on", c.servers.peak.Load())
}
