package adversary

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/pause"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestStoppedReplica stops a replica with requests in flight, as a frozen machine does,
// for longer than its lease. The servers go on with its requests, so their slots may not
// be given to others: never is more in flight at the servers than the limit. Once it goes
// on the whole pool is used again.
func TestStoppedReplica(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 11 s")
	}
	t.Parallel() // it mostly waits
	stopFor(t, 4500*time.Millisecond, 10*time.Second)
}

// TestStoppedReplicaAtLength does so for shorter and longer, with short and long requests.
func TestStoppedReplicaAtLength(t *testing.T) {
	slow(t)
	for _, service := range []time.Duration{60 * time.Millisecond, 2 * time.Second, 10 * time.Second} {
		for _, stop := range []time.Duration{400 * time.Millisecond, 1700 * time.Millisecond, 4500 * time.Millisecond, 10 * time.Second, 30 * time.Second} {
			t.Run(fmt.Sprintf("for %v with requests of %v", stop, service), func(t *testing.T) { stopFor(t, stop, service) })
		}
	}
}

func stopFor(t *testing.T, stop, service time.Duration) {
	t.Helper()
	p := startPool(t, service)
	victim := p.Replicas[0].Process.Process
	pause.Stop(t, victim)
	stopped := p.watch(stop)
	pause.Continue(t, victim)
	full := p.Wait("every slot is used", service+processes.Patience, func() bool { return p.inFlight.Load() >= p.limit })
	after := p.watch(max(time.Second, service/2)) // what overlaps with its requests would show
	t.Logf("%.0f%% of the slots used while it was stopped, all of them %v after it went on, %.0f%% from then on; at most %d of %d in flight",
		100*stopped, full.Round(10*time.Millisecond), 100*after, p.peak.Load(), p.limit)
	p.withinLimit()
}

// TestKilledReplica kills a replica with requests in flight: its kernel closes its
// connections, so its requests end, and its slots are others' long before requests
// of those would have ended.
func TestKilledReplica(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 8 s")
	}
	t.Parallel() // it mostly waits
	p := startPool(t, 10*time.Second)
	held := p.inFlight.Load()
	p.Replicas[0].Kill()
	p.Wait("its requests end at the servers", processes.Patience, func() bool { return p.inFlight.Load() < held })
	took := p.Wait("its slots are used by others", 6*time.Second, func() bool { return p.inFlight.Load() == p.limit })
	t.Logf("its slots are used again after %v", took)
	p.withinLimit()
}

// stoppable is three replicas and two model servers, whose requests take a fixed time,
// kept busy by all replicas.
type stoppable struct {
	*processes.Cluster
	limit          int64
	inFlight, peak atomic.Int64
}

// startPool returns once every slot is used, and the first replica has some of them.
func startPool(t *testing.T, service time.Duration) *stoppable {
	t.Helper()
	p := &stoppable{limit: 8}
	var urls []string
	for range 2 {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			processes.Raise(&p.peak, p.inFlight.Add(1))
			defer p.inFlight.Add(-1)
			select {
			case <-time.After(service):
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":1,"completion_tokens":16}}`)
		}))
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
	}
	p.Cluster = &processes.Cluster{T: t, Redis: redistest.Start(t), Servers: &processes.Servers{URLs: urls}}
	for i := range 3 {
		p.Add(fmt.Sprint("r", i+1), "--max-concurrency", fmt.Sprint(p.limit/2))
	}
	p.Wait("everybody knows everybody", processes.Patience, func() bool { return p.Agree(3) })
	load, ctx := processes.StartLoad(t)
	load.Tenant(ctx, "tenant-0", 4, p.Replicas[0])
	p.Wait("the first replica has half of the slots", processes.Patience, func() bool { return p.inFlight.Load() == p.limit/2 })
	for i, r := range p.Replicas {
		load.Tenant(ctx, fmt.Sprint("tenant-", i), 8, r)
	}
	p.Wait("the pool is full", processes.Patience, func() bool { return p.inFlight.Load() == p.limit })
	if service <= 2*time.Second {
		time.Sleep(service + time.Second) // how long requests take has been stated
	}
	return p
}

// withinLimit wants never to have been more in flight at the servers than the limit.
func (p *stoppable) withinLimit() {
	p.T.Helper()
	if peak := p.peak.Load(); peak > p.limit {
		p.T.Errorf("%d requests in flight at the servers, the limit is %d", peak, p.limit)
	}
}

// watch returns the part of the slots that are used over a time.
func (p *stoppable) watch(d time.Duration) float64 {
	var used, looks float64
	for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		used += float64(p.inFlight.Load())
		looks++
	}
	return used / looks / float64(p.limit)
}
