package shares

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/delay"
	"github.com/weirflow/weir/test/processes"
)

// slots is how many requests the pool takes.
const slots = 8

// reporting is set by "make shares", which measures for longer and keeps the figures.
var reporting = os.Getenv("WEIR_SHARES") != ""

// times is by how much longer than go test a report measures.
func times() int {
	if reporting {
		return 10
	}
	return 1
}

// fleet is replicas that gossip and share a Redis, each by a way of its own, in front of a model
// server of 8 slots.
type fleet struct {
	*testing.T
	config   *processes.Configuration
	redis    *redistest.Server
	ways     []*delay.Way // each replica's to Redis
	servers  *processes.Servers
	load     *processes.Load
	replicas []*processes.Replica
	begun    int // replicas there were at first
	began    time.Time
}

// onFleets measures on three replicas and on one, which is what they are compared with.
func onFleets(t *testing.T, weir string, measure func(f *fleet)) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: takes many seconds")
	}
	if reporting {
		forget(t)
	}
	t.Parallel() // it mostly waits
	for _, replicas := range []int{3, 1} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			t.Parallel()
			measure(startFleet(t, replicas, weir))
		})
	}
}

// startFleet starts a fleet whose answers take from 80 ms to 240 ms, unless a test says otherwise.
func startFleet(t *testing.T, replicas int, weir string) *fleet {
	t.Helper()
	f := &fleet{T: t, begun: replicas, config: processes.NewConfiguration(t), redis: redistest.Start(t), servers: processes.StartServers(t, 1, slots)}
	f.config.Write(file(weir))
	for n := range replicas {
		way := delay.Start(t, f.redis.Address)
		args := []string{"--config", f.config.File, "--redis", "redis://" + way.Address, "--gossip", "127.0.0.1:0"}
		for _, r := range f.replicas {
			args = append(args, "--join", r.Gossip)
		}
		f.ways = append(f.ways, way)
		f.replicas = append(f.replicas, processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", fmt.Sprint("r", n), f.servers, args...))
	}
	f.cluster().Wait("everybody knows everybody", processes.Patience, func() bool { return f.cluster().Agree(replicas) })
	f.load, _ = processes.StartLoad(t)
	f.load.Tokens = func(string) int { return between(16, 48) }
	f.servers.Watch()
	f.began = time.Now()
	return f
}

// between is a number from low to high: of tokens, each of which takes 5 ms.
func between(low, high int) int { return low + rand.IntN(high-low+1) }

// file is a configuration of the pool with this below "weir:".
func file(weir string) string {
	return fmt.Sprintf(`
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: %d}}]
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
  defaultPriorityBand: {fairnessPolicyRef: vtc-fairness-policy}
weir:
%s`, slots, weir)
}

// reload has all replicas that run read another configuration.
func (f *fleet) reload(weir string) {
	f.Helper()
	f.config.Reload(file(weir), f.replicas...)
}

func (f *fleet) cluster() *processes.Cluster {
	return &processes.Cluster{T: f.T, Redis: f.redis, Servers: f.servers, Replicas: f.replicas}
}

// at is the nth of three replicas, or the only one.
func (f *fleet) at(n int) *processes.Replica { return f.replicas[n%len(f.replicas)] }

// clients starts clients of a tenant at a replica, each of which asks again as soon as it was
// answered, until the returned function is called.
func (f *fleet) clients(tenant string, n int, at *processes.Replica) context.CancelFunc {
	ctx, stop := context.WithCancel(context.Background())
	f.Cleanup(stop)
	f.load.Tenant(ctx, tenant, n, at)
	return stop
}

// everywhere starts clients of a tenant at every replica, as many in all whatever their number.
func (f *fleet) everywhere(tenant string, n int) (stop func()) {
	var stops []context.CancelFunc
	for i, r := range f.replicas {
		stops = append(stops, f.clients(tenant, (n+i)/len(f.replicas), r))
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// every has a tenant ask once in so long a time, whether it was answered or not, at one replica
// after the other.
func (f *fleet) every(d time.Duration, tenant string) {
	ctx, stop := context.WithCancel(context.Background())
	f.Cleanup(stop)
	f.load.Clients.Go(func() {
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			select {
			case <-ticker.C:
				f.load.Clients.Go(func() {
					if err := f.load.Ask(ctx, tenant, f.at(n)); err != nil && ctx.Err() == nil {
						f.Errorf("a request of %s failed: %v", tenant, err)
					}
				})
			case <-ctx.Done():
			}
		}
	})
}

func (f *fleet) now() time.Duration { return time.Since(f.began) }

// next waits until the model server has begun so many more requests. What shares are compared over
// is a number of requests: a slow machine takes longer for them, and divides them no otherwise.
func (f *fleet) next(requests int) Span {
	f.Helper()
	from, before := f.now(), f.servers.Begun()
	f.cluster().Wait(fmt.Sprint(requests, " more requests"), processes.Patience+time.Duration(requests)*50*time.Millisecond,
		func() bool { return f.servers.Begun() >= before+requests })
	return Span{from, f.now()}
}

// curve is of tenants, and of those whose names continue theirs by a slash; of all if none is named.
func (f *fleet) curve(of ...string) *Curve {
	return NewCurve(f.servers.Ran(), f.began, func(tenant string) bool { return belongs(tenant, of) })
}

func belongs(tenant string, of []string) bool {
	return len(of) == 0 || slices.ContainsFunc(of, func(name string) bool {
		return tenant == name || strings.HasPrefix(tenant, name+"/")
	})
}

// part is what part of the pool's slot-time the tenants had in the span.
func (f *fleet) part(s Span, of ...string) float64 { return f.curve(of...).Had(s) / f.curve().Had(s) }

// tell says what was measured, and keeps it for the report.
func (f *fleet) tell(what, format string, figures ...any) {
	f.Helper()
	said := fmt.Sprintf(format, figures...)
	f.Logf("%s, %d replicas: %s", what, f.begun, said)
	if reporting {
		f.keep(what, said)
	}
}

// rounding is what parts that add up to all may be from it.
const rounding = 1e-9

// share tells what part of the pool's slot-time the tenants had in the span, and wants it to be
// from least to most.
func (f *fleet) share(what string, s Span, least, most float64, of ...string) {
	f.Helper()
	part := f.part(s, of...)
	f.tell(what, "%.1f%%", 100*part)
	if part < least-rounding || part > most+rounding {
		f.Errorf("%s: %s had %.1f%% of the slots' time, want from %.1f%% to %.1f%%", what, strings.Join(of, ", "), 100*part, 100*least, 100*most)
	}
}
