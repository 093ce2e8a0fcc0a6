//go:build unix

package adversary

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/delay"
	"github.com/weirflow/weir/test/processes"
)

// soakVariable says for how long TestSoak goes on, such as 30m, with faults that are drawn anew;
// without it they are the same ones every time.
const soakVariable = "WEIR_SOAK"

// TestSoak has five replicas under a load of short and long requests, some of which are
// hung up on, while one fault after the other happens to the replicas and to Redis. The
// servers never have more than the limit, no request fails but those of a replica that
// was ended, and when all is over nothing is held and the replicas are as small as they were.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes a minute")
	}
	t.Parallel() // it mostly waits
	lasts := 25 * time.Second
	if s := os.Getenv(soakVariable); s != "" {
		var err error
		if lasts, err = time.ParseDuration(s); err != nil {
			t.Fatalf("%s=%q: %v", soakVariable, s, err)
		}
	}
	s := newSoak(t, chance(t, os.Getenv(soakVariable) != ""), lasts)
	small := s.sizes()
	s.load()
	until := time.Now().Add(lasts)
	for n := 0; time.Now().Before(until); n++ {
		s.fault()
		s.calm()
		if n%20 == 19 || time.Now().After(until) {
			t.Logf("after %d faults: %v served, %v", n+1, s.total(), s.endings())
		}
	}
	s.drain()
	s.compare(small)
}

// soak is a fleet that faults happen to, and its load.
type soak struct {
	t        *testing.T
	rand     *rand.Rand
	longest  time.Duration // of a request, and of a replica's stop
	cluster  *processes.Cluster
	ways     []*delay.Way    // each replica's to Redis
	alive    [5]atomic.Bool  // whether clients send requests there
	runs     [5]atomic.Int64 // how often it was ended
	replicas [5]atomic.Pointer[processes.Replica]

	clients sync.WaitGroup
	client  *http.Client
	stop    context.CancelFunc
	mu      sync.Mutex
	served  map[string]int
	ended   map[string]int // what did not end with 200, by how
	faults  map[string]int
}

func newSoak(t *testing.T, r *rand.Rand, lasts time.Duration) *soak {
	redis := redistest.Start(t)
	s := &soak{
		t: t, rand: r, longest: min(20*time.Second, lasts/5),
		cluster: &processes.Cluster{T: t, Redis: redis, Servers: processes.StartServers(t, 2, processes.Limit/2)},
		served:  map[string]int{}, ended: map[string]int{}, faults: map[string]int{},
	}
	for n := range s.replicas {
		s.ways = append(s.ways, delay.Start(t, redis.Address))
		s.start(n)
	}
	s.cluster.Wait("everybody knows everybody", processes.Patience, func() bool { return s.cluster.Agree(len(s.replicas)) })
	return s
}

// start starts replica n, which joins by those that are there.
func (s *soak) start(n int) {
	url := strings.Replace(s.cluster.Redis.URL(), s.cluster.Redis.Address, s.ways[n].Address, 1)
	// Those that have a slot, and those that wait for one before a request of the longest ends.
	s.replicas[n].Store(s.cluster.Add(fmt.Sprint("r", n+1), "--redis", url, "--drain-timeout", (4 * s.longest).String()))
	s.alive[n].Store(true)
}

// end takes replica n out of the cluster, whose process has ended or is about to.
func (s *soak) end(n int) *processes.Replica {
	s.alive[n].Store(false)
	s.runs[n].Add(1)
	r := s.replicas[n].Load()
	s.cluster.Replicas = slices.DeleteFunc(s.cluster.Replicas, func(other *processes.Replica) bool { return other == r })
	return r
}

// load starts six tenants of eight clients, each of which asks any replica that is there.
func (s *soak) load() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.t.Cleanup(func() { stop(); s.clients.Wait() })
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	for tenant := range 6 {
		for range 8 {
			r := rand.New(rand.NewPCG(s.rand.Uint64(), 0))
			s.clients.Go(func() {
				for ctx.Err() == nil {
					s.ask(ctx, s.client, r, fmt.Sprint("tenant-", tenant))
				}
			})
		}
	}
}

// ask makes one request. Its length is as likely from 50 to 500 ms as from 2 to 20 s, and
// one of ten is hung up on.
func (s *soak) ask(ctx context.Context, client *http.Client, r *rand.Rand, tenant string) {
	n := r.IntN(len(s.replicas))
	if !s.alive[n].Load() {
		time.Sleep(time.Millisecond)
		return
	}
	run, at := s.runs[n].Load(), s.replicas[n].Load()
	length := 50 * time.Millisecond * time.Duration(math.Pow(float64(s.longest/(50*time.Millisecond)), r.Float64()))
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	name := strconv.FormatUint(r.Uint64(), 36)
	if r.IntN(10) == 0 {
		defer time.AfterFunc(time.Duration(r.Int64N(int64(2*length))), func() {
			s.cluster.Servers.HungUp(name)
			cancel()
		}).Stop()
	}
	const step = 5 * time.Millisecond // of the model servers
	status, err := post(call, client, at, tenant, name, int(length/step))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case call.Err() != nil:
	case err == nil && status == http.StatusOK:
		s.served[tenant]++
	case s.runs[n].Load() != run:
		s.ended["with their replica"]++
	case err != nil:
		s.ended[err.Error()]++
	default:
		s.ended[fmt.Sprint("status ", status)]++
	}
}

// fault does one thing to the fleet, and ends it after a while.
func (s *soak) fault() {
	n := s.rand.IntN(len(s.replicas))
	r := s.replicas[n].Load()
	kinds := map[string]func(){
		"killed": func() {
			s.end(n).Kill()
			s.pause(0, 5*time.Second)
			s.start(n)
		},
		"restarted": func() {
			s.cluster.Stop(s.end(n))
			s.start(n)
		},
		"stopped": func() {
			s.signal(r, syscall.SIGSTOP)
			s.pause(400*time.Millisecond, s.longest)
			s.signal(r, syscall.SIGCONT)
		},
		"wiped": func() {
			if err := s.cluster.Redis.Client().FlushAll(s.t.Context()).Err(); err != nil {
				s.t.Error(err)
			}
		},
		"slow": func() {
			for _, way := range s.ways {
				way.Set(300*time.Millisecond, 100*time.Millisecond)
			}
			s.pause(time.Second, 5*time.Second)
			for _, way := range s.ways {
				way.Set(0, 0)
			}
		},
		"slow for one": func() {
			s.ways[n].Set(400*time.Millisecond, 0)
			s.pause(time.Second, 5*time.Second)
			s.ways[n].Set(0, 0)
		},
	}
	name := slices.Sorted(maps.Keys(kinds))[s.rand.IntN(len(kinds))]
	s.faults[name]++
	began := time.Now()
	kinds[name]()
	s.withinLimit(fmt.Sprintf("%s was %s at %v for %v", r.ID, name, began.Format(time.TimeOnly), time.Since(began).Round(time.Millisecond)))
}

func (s *soak) withinLimit(what string) {
	s.t.Helper()
	if peak := s.cluster.Servers.Peak.Swap(s.cluster.Servers.InFlight.Load()); peak > processes.Limit {
		s.t.Errorf("%s: %d in flight, the limit is %d", what, peak, processes.Limit)
	}
}

// calm waits until the fleet has recovered, and has served every tenant since.
func (s *soak) calm() {
	s.t.Helper()
	s.cluster.Wait("the fleet has recovered", 30*time.Second, func() bool {
		return s.cluster.Agree(len(s.replicas)) && s.cluster.Connected()
	})
	before := s.counts()
	s.cluster.Wait("every tenant is served again", 2*s.longest+10*time.Second, func() bool {
		for tenant, n := range s.counts() {
			if n <= before[tenant] {
				return false
			}
		}
		return true
	})
	s.withinLimit("after that")
}

func (s *soak) signal(r *processes.Replica, sig os.Signal) {
	if err := r.Process.Process.Signal(sig); err != nil {
		s.t.Fatalf("%v to %s: %v", sig, r.ID, err)
	}
}

func (s *soak) pause(least, most time.Duration) {
	time.Sleep(least + time.Duration(s.rand.Int64N(int64(most-least))))
}

func (s *soak) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.served)
}

func (s *soak) total() (sum int) {
	for _, n := range s.counts() {
		sum += n
	}
	return sum
}

func (s *soak) endings() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.ended)
}

// drain ends the load, and wants nothing to be left of it.
func (s *soak) drain() {
	s.t.Helper()
	s.stop()
	s.clients.Wait()
	s.client.CloseIdleConnections() // each is two goroutines of a replica
	s.cluster.Wait("nothing is held or waits", 10*time.Second, func() bool {
		for _, r := range s.cluster.Replicas {
			pool, err := processes.Get[api.Pool](r, "/v1/pool")
			if err != nil || pool.Ledger.State != string(core.Connected) || pool.InFlight != 0 || pool.Queued != 0 {
				return false
			}
		}
		return s.cluster.Servers.InFlight.Load() == 0
	})
	s.t.Logf("faults: %v", s.faults)
	for how, n := range s.endings() {
		if how != "with their replica" {
			s.t.Errorf("%d requests ended with %s at a replica that lived", n, how)
		}
	}
}

// size is what a replica takes.
type size struct{ goroutines, heap int }

func (s *soak) sizes() map[string]size {
	sizes := map[string]size{}
	for _, r := range s.cluster.Replicas {
		sizes[r.ID] = size{
			processes.Metric(s.t, "go_goroutines", r), processes.Metric(s.t, "go_memstats_heap_inuse_bytes", r),
		}
	}
	return sizes
}

// compare wants the replicas, some of which were started anew, to be as small as at first.
func (s *soak) compare(small map[string]size) {
	s.t.Helper()
	// A replica keeps its connections to the servers for a while, of which a full pool made it
	// as many as the limit, each with two goroutines; its pool of connections to Redis is as
	// large as it had to be. The memory is what a late collection makes.
	const some, someMemory = 2*processes.Limit + 30, 32 << 20
	var now map[string]size
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(time.Second) {
		now = s.sizes()
		grown := slices.ContainsFunc(slices.Collect(maps.Keys(now)), func(id string) bool {
			return now[id].goroutines > small[id].goroutines+some || now[id].heap > small[id].heap+someMemory
		})
		if !grown {
			break
		}
		if time.Now().After(until) {
			s.t.Errorf("goroutines and bytes of heap are %v, before the load they were %v", now, small)
			break
		}
	}
	s.t.Logf("goroutines and bytes of heap: %v before, %v after", small, now)
}

// post asks for so many tokens by a request of that name, and returns how it was answered.
func post(ctx context.Context, client *http.Client, at *processes.Replica, tenant, name string, tokens int) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.URL+"/v1/completions",
		strings.NewReader(fmt.Sprintf(`{"model":"simulated","prompt":"hi","max_tokens":%d}`, max(1, tokens))))
	if err != nil {
		return 0, err
	}
	req.Header.Set("x-llm-d-inference-fairness-id", tenant)
	req.Header.Set(processes.RequestHeader, name)
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}
