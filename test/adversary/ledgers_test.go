package adversary

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// answered asks for twenty tenants at a replica, one after the other, and wants each of
// them answered at once.
func answered(t *testing.T, what string, r *processes.Replica) {
	t.Helper()
	l, ctx := processes.StartLoad(t)
	var longest time.Duration
	for i := range 20 {
		asking, done := context.WithTimeout(ctx, processes.Patience)
		began := time.Now()
		if err := l.Ask(asking, fmt.Sprint("tenant-", i), r); err != nil {
			t.Errorf("%s: tenant %d at %s: %v", what, i, r.ID, err)
		}
		longest = max(longest, time.Since(began))
		done()
	}
	t.Logf("%s: at %s the longest of 20 answers took %v", what, r.ID, longest)
}

// TestAnotherLedger lets replicas gossip that do not share a ledger: of another pool, and
// of the same pool with another Redis, database and prefix. Each is served as if the others
// were not there, and names them.
func TestAnotherLedger(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 2)
	one := c.Replicas[0]
	answered(t, "before", one)
	other := redistest.Start(t)
	for _, tc := range []struct {
		what string
		args []string
	}{
		{"another pool", []string{"--pool", "two"}},
		{"another Redis", []string{"--redis", other.URL()}},
		{"another database", []string{"--redis", c.Redis.URL() + "/1"}},
		{"another prefix", []string{"--redis-prefix", "other:"}},
	} {
		id := fmt.Sprint("x", len(c.Replicas))
		r := c.Add(id, tc.args...)
		c.Wait(tc.what+" is named", processes.Patience, func() bool {
			s, back := status(one, id), status(r, one.ID)
			return s != nil && s.OtherLedger != nil && back != nil && back.OtherLedger != nil
		})
		answered(t, "beside "+tc.what, one)
		answered(t, tc.what, r)
		if !one.Says("keeps another ledger", processes.Patience) {
			t.Errorf("%s: the log does not name it", tc.what)
		}
	}
	c.Wait("the metric counts four replicas of other ledgers", processes.Patience, func() bool {
		return processes.Metric(t, "weir_fleet_members_of_other_ledgers", one) == 4
	})
	for _, other := range []string{"r1", "r2"} {
		c.Wait("r2 reaches "+other, processes.Patience, func() bool { return reaches(c.Replicas[1], other) })
	}
}

// TestRollingChangeOfRedis moves a fleet under load from one Redis to another, one replica
// after the other: no request fails.
func TestRollingChangeOfRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 3)
	next := redistest.Start(t)
	l, ctx := processes.StartLoad(t)
	var at [3]atomic.Pointer[processes.Replica]
	for i, r := range c.Replicas {
		at[i].Store(r)
	}
	var served atomic.Int64
	for i := range 30 {
		l.Clients.Go(func() {
			for try := i; ctx.Err() == nil; {
				asking, done := context.WithTimeout(ctx, processes.Patience)
				err := l.Ask(asking, fmt.Sprint("tenant-", i%12), at[try%3].Load())
				done()
				switch {
				case ctx.Err() != nil:
				case err == nil:
					served.Add(1)
				case refused(err):
					try++
				default:
					t.Errorf("a request failed: %v", err)
				}
			}
		})
	}
	more := func(n int64) time.Duration {
		before := served.Load()
		return c.Wait("requests are served", processes.Patience, func() bool { return served.Load() >= before+n })
	}
	more(200)
	for i := range 3 {
		old := c.Replicas[i]
		c.Stop(old)
		r := c.Add(old.ID, "--redis", next.URL())
		c.Replicas = append(c.Replicas[:3], c.Replicas[4:]...)
		c.Replicas[i] = r
		at[i].Store(r)
		c.Wait("it has the ledger", processes.Patience, func() bool {
			pool, err := processes.Get[api.Pool](r, "/v1/pool?scope=replica")
			return err == nil && pool.Ledger.State == string(core.Connected)
		})
		t.Logf("%d of 3 replicas have the new Redis: 300 requests in %v", i+1, more(300))
	}
	c.Wait("they are one fleet again", processes.Patience, func() bool { return c.Agree(3) })
	l.Stop()
	l.Clients.Wait()
	t.Logf("%d requests served", served.Load())
}
