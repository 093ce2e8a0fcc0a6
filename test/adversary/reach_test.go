package adversary

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestReplicaReachesOneServer runs a replica that reaches one server of two beside two that
// reach both. The fleet has all of both servers, neither of them ever more than it takes,
// and the replica its part of the one.
func TestReplicaReachesOneServer(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 8 s")
	}
	const takes = 4
	var servers [2]struct{ inFlight, peak atomic.Int64 }
	var urls []string
	for i := range servers {
		s := &servers[i]
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			processes.Raise(&s.peak, s.inFlight.Add(1))
			defer s.inFlight.Add(-1)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":1,"completion_tokens":16}}`)
		}))
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
	}
	both, one := &processes.Servers{URLs: urls}, &processes.Servers{URLs: urls[:1]}
	c := &processes.Cluster{T: t, Redis: redistest.Start(t), Servers: both}
	for i := range 3 {
		if i == 2 {
			c.Servers = one
		}
		c.Add(fmt.Sprint("r", i+1), "--max-concurrency", fmt.Sprint(takes))
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })
	load, ctx := processes.StartLoad(t)
	var tenants []string
	for _, r := range c.Replicas {
		tenants = append(tenants, "of-"+r.ID)
		load.Tenant(ctx, "of-"+r.ID, 12, r)
	}
	inFlight := func() int64 { return servers[0].inFlight.Load() + servers[1].inFlight.Load() }
	c.Wait("the pool is full", processes.Patience, func() bool { return inFlight() == 2*takes })
	before := load.Count(tenants)
	var used, looks float64
	for until := time.Now().Add(3 * time.Second); time.Now().Before(until); time.Sleep(2 * time.Millisecond) {
		used += float64(inFlight())
		looks++
	}
	after := load.Count(tenants)
	got := make([]int, len(tenants))
	sum := 0
	for i := range tenants {
		got[i] = after[i] - before[i]
		sum += got[i]
	}
	t.Logf("%.0f%% of the slots used, tenants got %v, at most %d and %d in flight at the servers", 100*used/looks/(2*takes), got, servers[0].peak.Load(), servers[1].peak.Load())
	// 0.97 on a machine that does nothing else. A slow one leaves slots free between two requests;
	// bounded by what one replica reaches, the fleet would use a half.
	if used/looks < 0.65*2*takes {
		t.Errorf("%.1f slots of %d are used: the fleet is bounded by what one replica reaches", used/looks, 2*takes)
	}
	for i := range servers {
		if peak := servers[i].peak.Load(); peak > takes {
			t.Errorf("%d requests in flight at server %d, which takes %d", peak, i+1, takes)
		}
	}
	if got[2]*5 < sum { // a third is its fair part
		t.Errorf("the tenant of the replica that reaches one server got %d of %d requests", got[2], sum)
	}
}
