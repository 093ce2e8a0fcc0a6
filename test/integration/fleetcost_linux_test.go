package integration

import (
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

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// fleetCostVariable has TestFleetCost run: it names a commit to measure as well, or is 1.
const fleetCostVariable = "WEIR_FLEET_COST"

// TestFleetCost measures what a fleet that shares a ledger costs beside one replica that has
// its own, on real processes, and prints that as a table: one replica on memory, three on a
// near Redis, three on one that is 300 ms away, by external processing and by HTTP, with
// requests of 4 kB that nothing holds; and 4,000 requests behind a full pool of 8 whose
// requests end at once. Where a commit is named, its command is measured in turn.
func TestFleetCost(t *testing.T) {
	from := os.Getenv(fleetCostVariable)
	if from == "" {
		t.Skip("skipped: make fleet-cost runs it, in some minutes")
	}
	versions := []version{{"this", processes.Binary()}}
	if from != "1" {
		versions = append(versions, version{from, buildAt(t, from)})
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "version\treplicas\tredis\tdoor\tadded p50, one at a time\trequests/s, 64\tCPU s per 1,000\tof these Redis's\tturns a request")
	for _, fleet := range []fleetSize{{1, -1}, {3, 0}, {3, 300 * time.Millisecond}} {
		for _, door := range []string{"ext_proc", "http"} {
			for _, v := range versions {
				c := startCosting(t, v, fleet, 100_000)
				m := c.measure(door)
				fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%.2f ms\t%.0f\t%.2f\t%.2f\t%.2f\n", v.name, fleet.replicas, fleet, door, m.added.Seconds()*1000, m.rate, m.cpu, m.redis, m.turns)
				c.end()
			}
		}
	}
	_ = w.Flush()
	fmt.Fprintln(w, "\nversion\treplicas\t4,000 drained in\tturns a dispatch")
	for _, fleet := range []fleetSize{{1, -1}, {3, 0}} {
		for _, v := range versions {
			c := startCosting(t, v, fleet, 4)
			took, turns := c.drain(4000)
			fmt.Fprintf(w, "%s\t%d\t%.2f s\t%.2f\n", v.name, fleet.replicas, took.Seconds(), turns)
			c.end()
		}
	}
	_ = w.Flush()
	t.Log("\n" + table.String())
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

// costing is a fleet that is measured, before two servers that answer at once.
type costing struct {
	*testing.T
	replicas []*processes.Replica
	redis    *redistest.Server
	servers  *processes.Servers
	clients  []extproc.ExternalProcessorClient
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
	var delay *processes.Delay
	if fleet.away >= 0 {
		c.redis = redistest.Start(t)
		delay = processes.StartDelay(t, c.redis.Address)
		at := c.redis.URL()
		if fleet.away > 0 {
			at = strings.Replace(at, c.redis.Address, delay.Address, 1)
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
		conn, err := grpc.NewClient("passthrough:///"+r.ExtProc, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		c.cleanup = append(c.cleanup, func() { _ = conn.Close() })
		c.clients = append(c.clients, extproc.NewExternalProcessorClient(conn))
	}
	time.Sleep(time.Second) // until all know each other, which not every version tells
	if fleet.away > 0 {
		delay.Set(fleet.away, 0)
	}
	return c
}

// end ends the fleet.
func (c *costing) end() {
	c.Helper()
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

// drain has requests wait behind a full pool, and returns how long they took once it is free,
// and how many turns each did.
func (c *costing) drain(requests int) (time.Duration, float64) {
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
			e := c.open(i%len(c.replicas), fmt.Sprint("tenant-", i%tenants), body)
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
	turns, began := c.turns(), time.Now()
	for _, e := range held {
		if err := e.finish(); err != nil {
			c.Fatal(err)
		}
	}
	wg.Wait()
	return time.Since(began), float64(c.turns()-turns) / float64(requests)
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

// process makes an exchange of external processing and times the way to its destination.
func (c *costing) process(replica int, body string) (time.Duration, error) {
	began := time.Now()
	e := c.open(replica, "tenant", body)
	if err := e.granted(); err != nil {
		return 0, err
	}
	took := time.Since(began)
	return took, e.finish()
}

// processing is a request by external processing.
type processing struct {
	stream extproc.ExternalProcessor_ProcessClient
	err    error
}

// open sends a request's headers and body.
func (c *costing) open(replica int, tenant, body string) *processing {
	stream, err := c.clients[replica].Process(c.ctx)
	if err != nil {
		return &processing{err: err}
	}
	e := &processing{stream: stream}
	headers := &corev3.HeaderMap{}
	for _, kv := range [][2]string{{":method", "POST"}, {":path", "/v1/chat/completions"}, {":scheme", "http"}, {"content-type", "application/json"}, {"x-llm-d-inference-fairness-id", tenant}} {
		headers.Headers = append(headers.Headers, &corev3.HeaderValue{Key: kv[0], RawValue: []byte(kv[1])})
	}
	e.err = errors.Join(
		stream.Send(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: headers}}}),
		stream.Send(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(body), EndOfStream: true}}}))
	return e
}

// granted waits until the request may go.
func (e *processing) granted() error {
	for range 2 { // for its headers, and its body
		if e.err != nil {
			return e.err
		}
		var m *extproc.ProcessingResponse
		if m, e.err = e.stream.Recv(); e.err == nil && m.GetImmediateResponse() != nil {
			e.err = fmt.Errorf("refused: %v", m)
		}
	}
	return e.err
}

// finish ends the request.
func (e *processing) finish() error {
	if e.err != nil {
		return e.err
	}
	if err := e.stream.Send(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{EndOfStream: true}}}); err != nil {
		return err
	}
	if _, err := e.stream.Recv(); err != nil {
		return err
	}
	_ = e.stream.CloseSend()
	if _, err := e.stream.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the stream goes on: %w", err)
	}
	return nil
}
