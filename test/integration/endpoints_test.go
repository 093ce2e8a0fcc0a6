package integration

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/pause"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// counted are model servers that count what they have in flight and how often their
// metrics are read.
type counted struct {
	processes.Servers
	each    []atomic.Int64
	peak    []atomic.Int64
	scrapes []atomic.Int64
	others  atomic.Int64 // requests of others that each says to run
	padding string       // what else its page of metrics has
	mu      sync.Mutex
	read    []time.Time // when each was last read
}

// startCounted starts servers that take a random time for a request, 80 ms on average.
func startCounted(t *testing.T, n int) *counted {
	t.Helper()
	c := &counted{each: make([]atomic.Int64, n), peak: make([]atomic.Int64, n), scrapes: make([]atomic.Int64, n), read: make([]time.Time, n)}
	for i := range n {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/metrics" {
				c.scraped(i)
				_, _ = fmt.Fprintf(w, "%svllm:num_requests_running %d\nvllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 0.1\n",
					c.padding, c.each[i].Load()+c.others.Load())
				return
			}
			processes.Raise(&c.peak[i], c.each[i].Add(1))
			defer c.each[i].Add(-1)
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-time.After(20*time.Millisecond + time.Duration(rand.Int64N(int64(120*time.Millisecond)))):
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
		}))
		t.Cleanup(server.Close)
		c.URLs = append(c.URLs, server.URL)
	}
	return c
}

func (c *counted) scraped(i int) {
	c.scrapes[i].Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read[i] = time.Now()
}

// readSince reports whether every server was read after that time.
func (c *counted) readSince(then time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !slices.ContainsFunc(c.read, func(at time.Time) bool { return !at.After(then) })
}

// rate is how many times a second all servers together are read.
func (c *counted) rate(over time.Duration) float64 {
	sum := func() (n int64) {
		for i := range c.scrapes {
			n += c.scrapes[i].Load()
		}
		return n
	}
	before := sum()
	time.Sleep(over)
	return float64(sum()-before) / over.Seconds()
}

// deviation is the standard deviation of what the servers have in flight, on average
// over a time.
func (c *counted) deviation(over time.Duration) (deviation, mean float64) {
	samples := 0
	for began := time.Now(); time.Since(began) < over; samples++ {
		var sum, squares float64
		for i := range c.each {
			n := float64(c.each[i].Load())
			sum += n
			squares += n * n
		}
		n := float64(len(c.each))
		deviation += math.Sqrt(max(0, squares/n-sum*sum/n/n))
		mean += sum / n
		time.Sleep(3 * time.Millisecond)
	}
	return deviation / float64(samples), mean / float64(samples)
}

// fleet starts n replicas that gossip, in front of the servers.
func (c *counted) fleet(t *testing.T, n int, args ...string) *processes.Cluster {
	t.Helper()
	f := &processes.Cluster{T: t, Redis: redistest.Start(t), Servers: &c.Servers}
	for i := range n {
		all := append([]string{"--redis", f.Redis.URL(), "--gossip", "127.0.0.1:0"}, args...)
		for _, r := range f.Replicas {
			all = append(all, "--join", r.Gossip)
		}
		f.Replicas = append(f.Replicas, processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", fmt.Sprint("r", i+1), &c.Servers, all...))
	}
	f.Wait("everybody knows everybody", processes.Patience, func() bool { return f.Agree(n) })
	return f
}

// TestSpread compares how evenly one and four replicas load eight endpoints under random
// arrivals, and fills the pool by four: no endpoint gets much more than its share.
func TestSpread(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	run := func(n int, what string, most float64, load func(*processes.Load, context.Context, []*processes.Replica)) (deviation float64, peak int64) {
		s := startCounted(t, 8)
		f := s.fleet(t, n, "--max-concurrency", "8", "--fairness", "round-robin-fairness-policy")
		l, ctx := processes.StartLoad(t)
		load(l, ctx, f.Replicas)
		time.Sleep(time.Second)
		for looks := 1; ; looks++ { // a busy machine makes a load uneven, and not for ever
			var mean float64
			deviation, mean = s.deviation(2 * time.Second)
			t.Logf("%s, %d replicas: standard deviation %.2f, %.1f in flight at each endpoint", what, n, deviation, mean)
			if deviation <= most || looks == 4 {
				break
			}
		}
		for i := range s.peak {
			peak = max(peak, s.peak[i].Load())
		}
		for _, failure := range l.Failed(nil) {
			t.Fatal(failure.Err)
		}
		l.Stop()
		l.Clients.Wait()
		for _, r := range f.Replicas {
			r.Kill()
		}
		return deviation, peak
	}
	arrivals := func(l *processes.Load, ctx context.Context, replicas []*processes.Replica) {
		l.Arrive(ctx, "t", 450, replicas)
	}
	one, _ := run(1, "450 random arrivals a second", math.Inf(1), arrivals)
	four, _ := run(4, "450 random arrivals a second", 1.5*one, arrivals)
	if four > 1.5*one { // 1.0 on a quiet machine; 1.8 if replicas know nothing of each other
		t.Errorf("deviation %.2f with four replicas, %.2f with one", four, one)
	}
	_, peak := run(4, "full", math.Inf(1), func(l *processes.Load, ctx context.Context, replicas []*processes.Replica) {
		for i, r := range replicas {
			l.Tenant(ctx, fmt.Sprint("t", i), 30, r)
		}
	})
	if peak > 10 { // 8 are its share
		t.Errorf("%d in flight at an endpoint", peak)
	}
}

// TestScrapes counts how often 100 endpoints are read by one and by five replicas, how
// old readings are at replicas that did not take them, and wants others to read what one did
// that is killed or stopped.
func TestScrapes(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 20 s")
	}
	cfg := processes.NewConfiguration(t)
	cfg.Write("weir: {metrics: {interval: 200ms}}\nplugins: [{type: utilization-detector, parameters: {metricsStalenessThreshold: 1s}}]")
	rates := map[int]float64{}
	for _, n := range []int{1, 5} {
		s := startCounted(t, 100)
		s.others.Store(1)
		f := s.fleet(t, n, "--config", cfg.File)
		time.Sleep(time.Second)
		rates[n] = s.rate(2 * time.Second)
		t.Logf("%d replicas: %.0f readings a second of 100 endpoints", n, rates[n])
		if n == 1 {
			f.Replicas[0].Kill()
			continue
		}
		var oldest int64
		for range 10 {
			time.Sleep(100 * time.Millisecond)
			for _, r := range f.Replicas {
				all, err := processes.Get[api.Endpoints](r, "/v1/endpoints?scope=replica")
				if err != nil || len(all.Endpoints) != 100 {
					t.Fatalf("%d endpoints, %v", len(all.Endpoints), err)
				}
				for _, e := range all.Endpoints {
					if e.AgeMS == nil {
						t.Fatalf("%s was never read", e.Name)
					}
					oldest = max(oldest, *e.AgeMS)
				}
			}
		}
		t.Logf("the oldest reading at any replica was taken %d ms ago, they are taken every 200 ms", oldest)
		if oldest > 1000 { // 221 on a machine that does nothing else; beyond that an endpoint counts as full
			t.Errorf("a reading is %d ms old", oldest)
		}
		for what, end := range map[string]func(){
			"killed":  f.Replicas[4].Kill,
			"stopped": func() { pause.Stop(t, f.Replicas[3].Process.Process) },
		} {
			end()
			since := time.Now()
			// Within a second, on a machine that does nothing else.
			took := f.Wait("others read what one read that was "+what, 5*time.Second, func() bool { return s.readSince(since) })
			t.Logf("all were read again %v after a reader was %s", took, what)
		}
	}
	if r := rates[5] / rates[1]; r > 1.1 {
		t.Errorf("%.0f readings a second by five replicas, %.0f by one", rates[5], rates[1])
	}
}

// TestIdle bounds what three replicas take while nothing goes on at 200 endpoints with
// pages of 48 kB, and what a reading costs once each runs a request.
func TestIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	s := startCounted(t, 200)
	s.padding = strings.Repeat("vllm:e2e_request_latency_seconds_bucket{engine=\"0\",le=\"0.3\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"} 17.0\n", 430)
	cfg := processes.NewConfiguration(t)
	cfg.Write("plugins: [{type: utilization-detector}]")
	f := s.fleet(t, 3, "--config", cfg.File)
	const window = 4 * time.Second
	measure := func(what string) (reads, core float64) {
		time.Sleep(3 * time.Second)
		before := cpuSeconds(t, f.Replicas)
		reads = s.rate(window)
		core = (cpuSeconds(t, f.Replicas) - before) / window.Seconds()
		t.Logf("%s: %.0f readings a second, %.1f%% of a core in all replicas together, %.2f ms a reading", what, reads, 100*core, 1000*core/reads)
		return reads, core
	}
	idle, core := measure("at rest")
	if idle > 1.5*100 {
		t.Errorf("%.0f readings a second at rest, want one of each endpoint in 2 s", idle)
	}
	if core > 0.25 { // four times what it is
		t.Errorf("three replicas at rest take %.1f%% of a core", 100*core)
	}
	if pool, err := processes.Get[api.Pool](f.Replicas[0], "/v1/pool"); err != nil || pool.Saturation >= 1 {
		t.Errorf("at rest: %+v, %v", pool, err)
	}
	s.others.Store(1)
	busy, core := measure("running one request each")
	if busy < 5*200 {
		t.Errorf("%.0f readings a second of endpoints that run something, want one each in 50 ms", busy)
	}
	if each := core / busy; each > 0.0005 { // four times what it is
		t.Errorf("a reading takes %.2f ms of a core, want at most 0.5", 1000*each)
	}
}

// cpuSeconds is the time of a CPU that the replicas have taken, as they export it.
func cpuSeconds(t *testing.T, of []*processes.Replica) (sum float64) {
	t.Helper()
	for _, r := range of {
		res, err := http.Get(r.Admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		_, rest, ok := strings.Cut(string(text), "\nprocess_cpu_seconds_total ")
		var seconds float64
		if _, scanErr := fmt.Sscan(rest, &seconds); err != nil || !ok || scanErr != nil {
			t.Fatalf("no process_cpu_seconds_total: %v, %v", err, scanErr)
		}
		sum += seconds
	}
	return sum
}

// TestTokensOverTheFleet limits tokens in flight at two servers, 200 in all, under
// requests of some 17 each that come in by two of three replicas.
func TestTokensOverTheFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 8 s")
	}
	t.Parallel() // it mostly waits
	cfg := processes.NewConfiguration(t)
	cfg.Write(`
plugins: [{type: concurrency-detector, parameters: {concurrencyMode: tokens, maxTokenConcurrency: 100}}]
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}
`)
	s := processes.StartServers(t, 2, 100)
	f := (&counted{Servers: processes.Servers{URLs: s.URLs}}).fleet(t, 3, "--config", cfg.File)
	l, ctx := processes.StartLoad(t)
	l.Tenant(ctx, "a", 40, f.Replicas[0])
	l.Tenant(ctx, "b", 10, f.Replicas[1])
	time.Sleep(2 * time.Second)
	var most, sum, n int64
	for range 150 {
		time.Sleep(20 * time.Millisecond)
		now := s.InFlight.Load()
		most, sum, n = max(most, now), sum+now, n+1
	}
	t.Logf("200 tokens take 11 requests of 17; in flight: %.1f on average, at most %d", float64(sum)/float64(n), most)
	// There are fewer where the clients, too, wait for the machine: no limit would have 50.
	if mean := float64(sum) / float64(n); most < 9 || mean > 14 || most > 24 {
		t.Errorf("in flight: %.1f on average, at most %d", mean, most)
	}
}

// TestEndpointFile changes the endpoints of a running replica, then breaks the file.
func TestEndpointFile(t *testing.T) {
	t.Parallel() // it mostly waits
	s := startCounted(t, 3)
	file := processes.NewConfiguration(t).File
	put := func(text string) {
		t.Helper()
		processes.Put(t, file, text)
	}
	entry := func(i int) string { return s.Entry(i, fmt.Sprint("server-", i)) }
	put(entry(0))
	r := processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", "r1", &processes.Servers{}, "--max-concurrency", "4", "--endpoints-file", file)
	l, ctx := processes.StartLoad(t)
	l.Tenant(ctx, "t", 30, r)
	names := func(want string) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			all, err := processes.Get[api.Endpoints](r, "/v1/endpoints?scope=replica")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range all.Endpoints {
				got = append(got, e.Name)
			}
			slices.Sort(got)
			if strings.Join(got, " ") == want {
				return
			}
			if time.Since(began) > processes.Patience {
				t.Fatalf("endpoints %v, want %s", got, want)
			}
		}
	}
	names("server-0")
	put(entry(0) + entry(1) + entry(2))
	names("server-0 server-1 server-2")
	put(entry(1) + "- {name: broken, address: 10.0.0.1}\n")
	if !r.Says("the endpoint file cannot be used", processes.Patience) {
		t.Error("it is not told that the file is broken")
	}
	names("server-0 server-1 server-2")
	put(entry(1))
	names("server-1")
	for began := time.Now(); s.each[0].Load()+s.each[2].Load() > 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > processes.Patience {
			t.Fatal("requests go on to servers that left")
		}
	}
	l.Next(100, "t")
	for _, f := range l.Failed(nil) {
		t.Errorf("a request failed: %v", f.Err)
	}
}
