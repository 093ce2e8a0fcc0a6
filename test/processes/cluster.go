package processes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
)

// Limit is what the two model servers take together.
const Limit = 24

// Cluster is a fleet of processes that gossip, and their load.
type Cluster struct {
	T        *testing.T
	Redis    *redistest.Server
	Servers  *Servers
	Replicas []*Replica
}

// StartCluster starts n replicas that gossip, in front of two servers that take Limit
// requests together, and waits until all know each other.
func StartCluster(t *testing.T, n int) *Cluster {
	t.Helper()
	c := NewCluster(t)
	for i := range n {
		c.Add(fmt.Sprint("r", i+1))
	}
	c.Wait("everybody knows everybody", Patience, func() bool { return c.Agree(n) })
	return c
}

// NewCluster returns a cluster without replicas yet: a Redis, and two servers that take
// Limit requests together.
func NewCluster(t *testing.T) *Cluster {
	t.Helper()
	return &Cluster{T: t, Redis: redistest.Start(t), Servers: StartServers(t, 2, Limit/2)}
}

// Arguments are those of a replica that joins by others.
func (c *Cluster) Arguments(others ...*Replica) []string {
	args := []string{
		"--redis", c.Redis.URL(), "--max-concurrency", fmt.Sprint(Limit / 2),
		"--gossip", "127.0.0.1:0",
	}
	for _, r := range others {
		args = append(args, "--join", r.Gossip)
	}
	return args
}

// Add starts a replica that joins by the ones there are.
func (c *Cluster) Add(id string, args ...string) *Replica {
	c.T.Helper()
	r := Start(c.T, id, c.Servers, append(c.Arguments(c.Replicas...), args...)...)
	c.Replicas = append(c.Replicas, r)
	return r
}

// Get reads an answer of a replica's admin address.
func Get[T any](r *Replica, path string) (answer T, err error) {
	client := http.Client{Timeout: time.Second}
	res, err := client.Get(r.Admin + path)
	if err != nil {
		return answer, err
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	return answer, json.NewDecoder(res.Body).Decode(&answer)
}

// Answers waits until a page is answered with 200.
func Answers(t *testing.T, url string) {
	t.Helper()
	c := &Cluster{T: t}
	c.Wait(url+" is answered", Patience, func() bool {
		res, err := http.Get(url)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// Agree reports whether n replicas see each other and draw the same map.
func (c *Cluster) Agree(n int) bool {
	var first []api.Shard
	for _, r := range c.Replicas[:n] {
		seen, err := Get[api.Replicas](r, "/v1/replicas?scope=replica")
		if err != nil || len(seen.Replicas) < n {
			return false
		}
		reachable := 0
		for _, p := range seen.Replicas {
			if p.Live && p.Reachable {
				reachable++
			}
		}
		shards := c.Owners(r)
		if reachable != n || first != nil && fmt.Sprint(shards) != fmt.Sprint(first) {
			return false
		}
		first = shards
	}
	return true
}

// Owners returns the shards and their Owners alone.
func (c *Cluster) Owners(r *Replica) []api.Shard {
	s, err := Get[api.Shards](r, "/v1/shards?scope=replica")
	if err != nil {
		return nil
	}
	for i := range s.Shards {
		s.Shards[i].Flows, s.Shards[i].Queued = 0, 0
	}
	return s.Shards
}

// Owned counts the shards that r thinks id owns.
func (c *Cluster) Owned(r *Replica, id string) (n int) {
	for _, s := range c.Owners(r) {
		if s.Owner == id {
			n++
		}
	}
	return n
}

// Patience is how long to wait for what must come: a machine that has much else to do takes
// a multiple of the time that it takes otherwise, and nothing is learnt from that.
const Patience = 30 * time.Second

// Wait waits until the condition holds, and returns how long that took. Where the time is not
// what is promised, it is Patience.
func (c *Cluster) Wait(what string, most time.Duration, condition func() bool) time.Duration {
	c.T.Helper()
	began := time.Now()
	for !condition() {
		if time.Since(began) > most {
			c.T.Fatalf("%s: not within %v", what, most)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// Uneven starts the load: one tenant by every replica, the others by one each.
func (c *Cluster) Uneven() (*Load, []string) {
	l, ctx := StartLoad(c.T)
	tenants := []string{"everywhere", "one-a", "one-b", "one-c", "two-a"}
	for _, r := range c.Replicas {
		l.Tenant(ctx, "everywhere", 16, r)
	}
	for _, id := range tenants[1:4] {
		l.Tenant(ctx, id, 24, c.Replicas[0])
	}
	l.Tenant(ctx, "two-a", 24, c.Replicas[1])
	return l, tenants
}

// Even wants the next 500 requests of the load to be fair between the tenants: a second and
// a half, on a machine that does nothing else.
func (c *Cluster) Even(what string, l *Load, tenants []string) {
	c.T.Helper()
	began := time.Now()
	got := l.Next(500, tenants...)
	jain := Jain(got)
	c.T.Logf("%s: %d requests in %v, Jain index %.4f, at most %d of %d in flight", what, sum(got), time.Since(began), jain, c.Servers.Peak.Load(), Limit)
	if jain < 0.98 {
		c.T.Errorf("%s: the tenants %v got %v requests, Jain index %.4f, want at least 0.98", what, tenants, got, jain)
	}
}

func sum(all []int) (sum int) {
	for _, n := range all {
		sum += n
	}
	return sum
}

// WithinLimit wants the servers never to have had more than Limit requests since it was
// last called.
func (c *Cluster) WithinLimit(what string) {
	c.T.Helper()
	if peak := c.Servers.Peak.Swap(0); peak > Limit {
		c.T.Errorf("%s: %d requests in flight, the limit is %d", what, peak, Limit)
	}
}

// NoneFailed wants no request to have failed but at the excepted replica.
func (c *Cluster) NoneFailed(what string, l *Load, except *Replica) {
	c.T.Helper()
	if failures := l.Failed(except); len(failures) > 0 {
		c.T.Errorf("%s: %d requests failed, the first: %v", what, len(failures), failures[0].Err)
	}
}

// Stop ends a replica in good order and wants it to succeed.
func (c *Cluster) Stop(r *Replica) {
	c.T.Helper()
	if err := r.Process.Process.Signal(syscall.SIGTERM); err != nil {
		c.T.Fatal(err)
	}
	if err := r.Process.Wait(); err != nil {
		c.T.Errorf("%s after SIGTERM: %v", r.ID, err)
	}
}

// Connected reports whether all replicas have the ledger.
func (c *Cluster) Connected() bool {
	for _, r := range c.Replicas {
		if pool, err := Get[api.Pool](r, "/v1/pool?scope=replica"); err != nil || pool.Ledger.State != string(core.Connected) {
			return false
		}
	}
	return true
}

// Counter adds a metric up over the cluster's replicas.
func (c *Cluster) Counter(name string) (sum int) {
	c.T.Helper()
	return Metric(c.T, name, c.Replicas...)
}
