package integration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/delay"
	"github.com/weirflow/weir/test/processes"
)

// fleetCostVariable has TestFleetCost run: it names a commit to measure as well, or is 1.
const fleetCostVariable = "WEIR_FLEET_COST"

// TestFleetCost measures what a fleet that shares a ledger costs beside one replica that has
// its own, on real processes, and prints that as a table: one replica on memory, three on a
// near Redis, three on one that is 300 ms away, by external processing and by HTTP, with
// requests of 4 kB that nothing holds; and 4,000 requests behind a full pool of 8 whose
// requests end at once; and streamed answers. Where a commit is named, its command is measured
// in turn.
func TestFleetCost(t *testing.T) {
	from := os.Getenv(fleetCostVariable)
	if from == "" {
		t.Skip("skipped: make fleet-cost runs it, in some minutes")
	}
	versions := []version{{"this", processes.Binary()}}
	if from != "1" {
		versions = append(versions, version{from, buildAt(t, from)})
	}
	for _, part := range []struct {
		name    string
		measure func(t *testing.T, w io.Writer, versions []version)
	}{{"requests", requestCosts}, {"drain", drains}, {"chunks", chunkCosts}} {
		t.Run(part.name, func(t *testing.T) {
			var table strings.Builder
			w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
			part.measure(t, w, versions)
			_ = w.Flush()
			t.Log("\n" + table.String())
		})
	}
}

// requestCosts are of requests that nothing holds, by either door.
func requestCosts(t *testing.T, w io.Writer, versions []version) {
	fmt.Fprintln(w, "version\treplicas\tredis\tdoor\tadded p50, one at a time\trequests/s, 64\tCPU s per 1,000\tof these Redis's\tturns a request")
	for _, fleet := range []fleetSize{{1, -1}, {3, 0}, {3, 300 * time.Millisecond}} {
		for _, door := range []string{"ext_proc", "http"} {
			for _, v := range versions {
				c := startCosting(t, v, fleet, 100_000)
				m := c.measure(door)
				fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%.2f ms\t%.0f\t%.3f\t%.3f\t%.2f\n", v.name, fleet.replicas, fleet, door, m.added.Seconds()*1000, m.rate, m.cpu, m.redis, m.turns)
				c.end()
			}
		}
	}
}

// drains are of 4,000 requests behind a full pool, the median of five.
func drains(t *testing.T, w io.Writer, versions []version) {
	const rounds = 5
	fmt.Fprintln(w, "version\treplicas\tdrained in\tturns a dispatch\tCPU s: replicas\tRedis\tdriver\tmachine busy")
	fleets := []fleetSize{{1, -1}, {3, 0}}
	measured := make([][]drained, len(fleets)*len(versions))
	for range rounds {
		for i := range measured {
			c := startCosting(t, versions[i%len(versions)], fleets[i/len(versions)], 4)
			measured[i] = append(measured[i], c.drain(4000))
			c.end()
		}
	}
	for i, d := range measured {
		slices.SortFunc(d, func(a, b drained) int { return cmp.Compare(a.took, b.took) })
		m := d[rounds/2]
		fmt.Fprintf(w, "%s\t%d\t%.2f s (%.2f to %.2f)\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f%%\n", versions[i%len(versions)].name, fleets[i/len(versions)].replicas,
			m.took.Seconds(), d[0].took.Seconds(), d[rounds-1].took.Seconds(), m.turns,
			m.replicas.Seconds(), m.redis.Seconds(), m.driver.Seconds(), 100*m.busy)
	}
}

// chunkCosts are of streamed answers by external processing at one replica.
func chunkCosts(t *testing.T, w io.Writer, versions []version) {
	fmt.Fprintln(w, "version\tCPU for a chunk of a streamed answer: one every 10 ms in 64 streams\tas fast as 16 go")
	for _, v := range versions {
		c := startCosting(t, v, fleetSize{1, -1}, 100_000)
		fmt.Fprintf(w, "%s\t%.1f µs", v.name, c.chunk(64, 500, 10*time.Millisecond).Seconds()*1e6)
		fmt.Fprintf(w, "\t%.1f µs\n", c.chunk(16, 5000, 0).Seconds()*1e6)
		c.end()
	}
}

// version is a weir command.
type version struct{ name, binary string }

// fleetSize is how many replicas share a ledger, and how far away Redis is; below 0 they
// have theirs in memory.
type fleetSize struct {
	replicas int
	away     time.Duration
}

func (f fleetSize) String() string {
	switch {
	case f.away < 0:
		return "none"
	case f.away == 0:
		return "near"
	}
	return fmt.Sprint(f.away)
}

// connections go to each replica: one takes a thousand streams.
const connections = 8

// costing is a fleet that is measured, before two servers that answer at once.
type costing struct {
	*testing.T
	replicas []*processes.Replica
	redis    *redistest.Server
	servers  *processes.Servers
	clients  []extproc.ExternalProcessorClient // of one replica after the other, several times
	http     *http.Client
	cleanup  []func()
	ctx      context.Context // for as long as one may take
}

// startCosting starts a fleet whose servers take so many requests each.
func startCosting(t *testing.T, v version, fleet fleetSize, perServer int) *costing {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	c := &costing{T: t, ctx: ctx, cleanup: []func(){cancel}, servers: &processes.Servers{}, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}}}
	for range 2 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("content-type", "application/json")
			_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":1000,"completion_tokens":1}}`)
		}))
		c.cleanup = append(c.cleanup, s.Close)
		c.servers.URLs = append(c.servers.URLs, s.URL)
	}
	args := []string{"--fairness", "round-robin-fairness-policy", "--max-concurrency", strconv.Itoa(perServer), "--ext-proc", "127.0.0.1:0"}
	var way *delay.Way
	if fleet.away >= 0 {
		c.redis = redistest.Start(t)
		way = delay.Start(t, c.redis.Address)
		at := c.redis.URL()
		if fleet.away > 0 {
			at = strings.Replace(at, c.redis.Address, way.Address, 1)
		}
		args = append(args, "--redis", at, "--gossip", "127.0.0.1:0")
	}
	for i := range fleet.replicas {
		own := args
		for _, r := range c.replicas {
			own = append(slices.Clip(own), "--join", r.Gossip)
		}
		r := processes.StartBy(t, exec.Command(v.binary), "127.0.0.1", fmt.Sprint("r", i+1), c.servers, own...)
		c.cleanup = append(c.cleanup, r.Kill)
		c.replicas = append(c.replicas, r)
	}
	for i := range connections * len(c.replicas) {
		conn, err := grpc.NewClient("passthrough:///"+c.replicas[i%len(c.replicas)].ExtProc, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		c.cleanup = append(c.cleanup, func() { _ = conn.Close() })
		c.clients = append(c.clients, extproc.NewExternalProcessorClient(conn))
	}
	time.Sleep(time.Second) // until all know each other, which not every version tells
	if fleet.away > 0 {
		way.Set(fleet.away, 0)
	}
	return c
}

func (c *costing) end() {
	for _, f := range slices.Backward(c.cleanup) {
		f()
	}
}

// cost is what was measured.
type cost struct {
	added      time.Duration // to a request, one at a time, p50
	rate       float64       // requests a second, 64 at a time
	cpu, redis float64       // seconds for 1,000 of these
	turns      float64       // with the ledger, for one of these
}

// measure has requests go by a door.
func (c *costing) measure(door string) (m cost) {
	c.Helper()
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 4000) + `"}],"max_tokens":1}`
	ask := func(i int) (time.Duration, error) { return c.process(i%len(c.replicas), body) }
	if door == "http" {
		ask = func(i int) (time.Duration, error) { return c.post(c.replicas[i%len(c.replicas)].URL, body) }
	}
	c.together(64, 3*time.Second, ask) // everything is open and in use
	const alone, most = 1000, 10 * time.Second
	var took, direct []time.Duration
	for i, began := 0, time.Now(); i < alone && time.Since(began) < most; i++ {
		through, err := ask(i)
		if err != nil {
			c.Fatal(err)
		}
		took = append(took, through)
		if door == "http" {
			d, err := c.post(c.servers.URLs[i%2], body)
			if err != nil {
				c.Fatal(err)
			}
			direct = append(direct, d)
		}
	}
	m.added = median(took)
	if door == "http" {
		m.added -= median(direct)
	}
	cpu, redis, turns := c.used(), c.usedByRedis(), c.turns()
	const lasts = 5 * time.Second
	served := float64(c.together(64, lasts, ask))
	m.rate = served / lasts.Seconds()
	m.redis = (c.usedByRedis() - redis).Seconds() / served * 1000
	m.cpu = (c.used()-cpu).Seconds()/served*1000 + m.redis
	m.turns = float64(c.turns()-turns) / served
	return m
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// together has callers ask one request after the other for a time.
func (c *costing) together(callers int, lasts time.Duration, ask func(int) (time.Duration, error)) int64 {
	c.Helper()
	var served atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for began := time.Now(); time.Since(began) < lasts; {
				if _, err := ask(i); err != nil {
					c.Error(err)
					return
				}
				served.Add(1)
			}
		})
	}
	wg.Wait()
	return served.Load()
}

// drained is what it took to empty a queue.
type drained struct {
	took                    time.Duration
	turns                   float64       // with the ledger, for a request
	replicas, redis, driver time.Duration // CPU time
	busy                    float64       // of the machine's CPU time, by whomever
}

// drain has requests wait behind a full pool, and returns what it took once that was free.
func (c *costing) drain(requests int) (d drained) {
	c.Helper()
	const limit, tenants = 8, 16
	body := `{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":1}`
	held := make([]*processing, limit)
	for i := range held {
		held[i] = c.open(i%len(c.replicas), "first", body)
		if err := held[i].granted(); err != nil {
			c.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for i := range requests {
		wg.Go(func() {
			e := c.open(i%len(c.clients), fmt.Sprint("tenant-", i%tenants), body)
			if err := errors.Join(e.granted(), e.finish()); err != nil {
				c.Error(err)
			}
		})
	}
	for began := time.Now(); processes.Metric(c.T, "weir_flow_control_queue_size", c.replicas...) < requests; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > processes.Patience {
			c.Fatalf("%d of %d requests wait", processes.Metric(c.T, "weir_flow_control_queue_size", c.replicas...), requests)
		}
	}
	turns, replicas, redis, driver := c.turns(), c.used(), c.usedByRedis(), usedBy(c.T, os.Getpid())
	idle, all := machine(c.T)
	began := time.Now()
	for _, e := range held {
		if err := e.finish(); err != nil {
			c.Fatal(err)
		}
	}
	wg.Wait()
	d = drained{took: time.Since(began), replicas: c.used() - replicas, redis: c.usedByRedis() - redis, driver: usedBy(c.T, os.Getpid()) - driver}
	idleNow, allNow := machine(c.T)
	d.busy = 1 - float64(idleNow-idle)/float64(max(1, allNow-all))
	d.turns = float64(c.turns()-turns) / float64(requests)
	return d
}

// machine is for how long its CPUs had nothing to do, and all of their time, in ticks.
func machine(t *testing.T) (idle, all int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line)[1:] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if all += n; i == 3 || i == 4 { // idle, and waiting for a disk
			idle += n
		}
	}
	return idle, all
}

// turns is how many the replicas took.
func (c *costing) turns() int {
	return processes.Metric(c.T, "weir_ledger_turns_total", c.replicas...)
}

// used is the replicas' CPU time.
func (c *costing) used() (sum time.Duration) {
	for _, r := range c.replicas {
		sum += usedBy(c.T, r.Process.Process.Pid)
	}
	return sum
}

func (c *costing) usedByRedis() time.Duration {
	if c.redis == nil {
		return 0
	}
	return usedBy(c.T, c.redis.PID())
}

// usedBy is the CPU time of a process.
func usedBy(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
	const user, system, tick = 11, 12, 10 * time.Millisecond
	var sum time.Duration
	for _, f := range []string{fields[user], fields[system]} {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n) * tick
	}
	return sum
}

// post makes a request by HTTP and times it.
func (c *costing) post(base, body string) (time.Duration, error) {
	at, err := url.JoinPath(base, "/v1/chat/completions")
	if err != nil {
		return 0, err
	}
	began := time.Now()
	res, err := c.http.Post(at, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("status %d", res.StatusCode))
	}
	return time.Since(began), errors.Join(err, res.Body.Close())
}
