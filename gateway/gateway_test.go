package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/admin"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/proxy"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/internal/modelserver"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a gateway with its controller, in front of upstreams.
type rig struct {
	url     string
	admin   *admin.Address
	metrics prometheus.Gatherer
	gateway *gateway.Gateway
	envoy   *envoy.Processor
	pool    *gateway.Pool
	control *controller.Controller
	client  *http.Client
	server  *httptest.Server
}

// rigConfig configures a rig's gateway, its one pool, and its door for Envoy.
type rigConfig struct {
	gateway.Config
	gateway.PoolConfig
	Envoy      envoy.Config
	StuckAfter time.Duration
}

func newRig(t testing.TB, limit int, upstreams ...string) *rig {
	t.Helper()
	return newRigWith(t, limit, nil, nil, upstreams...)
}

// newRigWith makes a rig with options of its controller and a gateway whose
// configuration is changed before it is made; either may be nil.
func newRigWith(t testing.TB, limit int, options []controller.Option, change func(*rigConfig), upstreams ...string) *rig {
	t.Helper()
	detector, err := saturation.NewConcurrency("d", saturation.ConcurrencyParameters{MaxConcurrency: limit})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	pool := metrics.NewPool("test")
	process := metrics.NewProcess(pool)
	registry.MustRegister(pool, process)
	r := &rig{metrics: registry}
	options = append([]controller.Option{
		controller.WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr")}),
		controller.WithSaturationDetector(detector),
		controller.WithObserver(pool), controller.WithTTL(time.Minute, 300*time.Millisecond),
	}, options...)
	r.control, err = controller.NewController(memory.New(memory.Config{}), options...)
	if err != nil {
		t.Fatal(err)
	}
	pool.Watch(r.control)
	source, err := endpoints.NewStatic(upstreams...)
	if err != nil {
		t.Fatal(err)
	}
	cfg := rigConfig{Config: gateway.Config{MaxBody: 1 << 16, Metrics: process}, PoolConfig: gateway.PoolConfig{
		Controller: r.control, Endpoints: endpoints.Config{Source: source}, Metrics: pool,
		Rules: flows.Rules{Priority: func(_, objective string) (int, bool) {
			priority, declared := map[string]int{"urgent": 10, "sheddable": -1}[objective]
			return priority, declared
		}},
	}}
	if change != nil {
		change(&cfg)
	}
	r.pool = gateway.NewPool(cfg.PoolConfig)
	r.gateway = gateway.New(cfg.Config, gateway.Only(r.pool))
	pool.WatchEndpoints(r.pool.Endpoints())
	r.admin = admin.NewAddress(admin.AddressConfig{Responsive: r.control.Responsive, StuckAfter: cfg.StuckAfter, Metrics: registry})
	r.envoy = envoy.New(r.gateway, cfg.Envoy)
	byHTTP := proxy.New(r.gateway, proxy.Config{})
	server := httptest.NewServer(byHTTP)
	r.url, r.client, r.server = server.URL, server.Client(), server
	t.Cleanup(func() {
		server.Close()
		byHTTP.Close()
		r.pool.Close()
		r.control.Close()
	})
	return r
}

func newModelServer(t testing.TB) string {
	t.Helper()
	cfg := modelserver.DefaultConfig()
	cfg.Step, cfg.StepPerSequence, cfg.OutputTokens = time.Millisecond, 0, 5
	s, err := modelserver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL
}

func (r *rig) post(t testing.TB, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(answer)
}

const chat = `{"model":"simulated","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}`

func TestForwards(t *testing.T) {
	r := newRig(t, 4, newModelServer(t))
	res, body := r.post(t, "/v1/chat/completions", chat, "x-llm-d-inference-fairness-id", "tenant")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, `"completion_tokens":5`) {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	res, err := r.client.Get(r.url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("/v1/models: %d", res.StatusCode)
	}
	if f := r.settled(t, "tenant"); f.ServedRequests != 1 || f.ServedTokens < 6 {
		t.Errorf("the flow's figures: %+v", f)
	}
}

// figure sums the values of a metric's series that have the labels, names and values in
// turns; of a histogram, how often it was observed.
func (r *rig) figure(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	return sumOf(t, r.metrics, name, labels...)
}

// figure is the same of one collector.
func figure(t testing.TB, of prometheus.Collector, name string, labels ...string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(of)
	return sumOf(t, registry, name, labels...)
}

func sumOf(t testing.TB, from prometheus.Gatherer, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := make(map[string]string)
			for _, l := range m.GetLabel() {
				has[l.GetName()] = l.GetValue()
			}
			matches := true
			for i := 0; i+1 < len(labels); i += 2 {
				matches = matches && has[labels[i]] == labels[i+1]
			}
			if matches {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// view is what the controller has to show.
func (r *rig) view(t testing.TB) core.View {
	t.Helper()
	v, err := r.control.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// flows are the figures of all flows, by their ids.
func (r *rig) flows() map[string]flows.Figures {
	all := make(map[string]flows.Figures)
	r.pool.Flows(func(key policies.FlowKey, f flows.Figures) { all[key.ID] = f })
	return all
}

// settled are the figures of a flow once its requests have ended: a client may have read an
// answer to its end before the replica counts it.
func (r *rig) settled(t testing.TB, flow string) flows.Figures {
	t.Helper()
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		f := r.flows()[flow]
		if f.ServedRequests > 0 && f.InFlight == 0 {
			return f
		}
		if time.Now().After(until) {
			t.Fatalf("%s has not ended: %+v", flow, f)
		}
	}
}

// TestStreamsChunkByChunk wants each chunk before the server makes the next.
func TestStreamsChunkByChunk(t *testing.T) {
	proceed := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: {\"n\":%d}\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-proceed
		}
	}))
	t.Cleanup(upstream.Close)
	r := newRig(t, 1, upstream.URL)
	res, err := r.client.Post(r.url+"/v1/chat/completions", "application/json", strings.NewReader(chat))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // a test
	lines := bufio.NewScanner(res.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf(`data: {"n":%d}`, i) {
			t.Fatalf("chunk %d: %q, %v", i, lines.Text(), lines.Err())
		}
		lines.Scan()
		proceed <- struct{}{}
	}
}

func TestStripsControlHeaders(t *testing.T) {
	got := make(chan http.Header, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	t.Cleanup(upstream.Close)
	r := newRig(t, 1, upstream.URL)
	r.post(t, "/v1/completions", chat, "x-gateway-inference-fairness-id", "t", "x-llm-d-inference-objective", "urgent", "x-other", "kept")
	h := <-got
	if h.Get("x-gateway-inference-fairness-id") != "" || h.Get("x-llm-d-inference-objective") != "" || h.Get("x-other") != "kept" {
		t.Errorf("the model server got %v", h)
	}
	if n := r.figure(t, "weir_flow_control_requests_total", "outcome", "Dispatched", "priority", "10"); n != 1 {
		t.Errorf("%v dispatched at the objective's priority, want 1", n)
	}
}

func TestAnotherEndpointIsTried(t *testing.T) {
	dead := "http://" + freeport.Address(t)
	r := newRig(t, 4, dead, newModelServer(t))
	for range 8 {
		if res, body := r.post(t, "/v1/chat/completions", chat); res.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
	}
	if pool := r.view(t).Pool; pool.Endpoints != 1 || pool.Limit != 4 {
		t.Errorf("%d endpoints and limit %d with one of two dead, want 1 and 4", pool.Endpoints, pool.Limit)
	}
}

func TestBadInput(t *testing.T) {
	dead := "http://" + freeport.Address(t)
	alive, lost := newRig(t, 1, newModelServer(t)), newRig(t, 1, dead)
	for _, c := range []struct {
		name, path, body string
		rig              *rig
		headers          []string
		status           int
		code, reason     string
	}{
		{name: "malformed JSON", path: "/v1/chat/completions", body: `{"model":`, rig: alive, status: 400, code: "malformed_json"},
		{name: "not an object", path: "/v1/chat/completions", body: `[1]`, rig: alive, status: 400, code: "malformed_json"},
		{name: "no body", path: "/v1/completions", rig: alive, status: 400, code: "malformed_json"},
		{name: "no model", path: "/v1/embeddings", body: `{"input":"x"}`, rig: alive, status: 400, code: "model_required"},
		{name: "body over the limit", path: "/v1/completions", body: strings.Repeat("x", 1<<17), rig: alive, status: 413, code: "body_too_large"},
		{name: "unknown path", path: "/metrics", body: "{}", rig: alive, status: 404, code: "unknown_path"},
		{name: "long flow id", path: "/v1/completions", body: chat, rig: alive, headers: []string{headers.Flow[0], strings.Repeat("x", 300)}, status: 400, code: "bad_flow_id"},
		{name: "flow id with a space", path: "/v1/completions", body: chat, rig: alive, headers: []string{headers.Flow[1], "a b"}, status: 400, code: "bad_flow_id"},
		{name: "upstream that is not there", path: "/v1/completions", body: chat, rig: lost, status: 503, code: "upstream_unreachable", reason: "rejected-no-endpoints"},
		{name: "and then none to wait for", path: "/v1/completions", body: chat, rig: lost, status: 503, code: "no_endpoints", reason: "rejected-no-endpoints"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := c.rig.post(t, c.path, c.body, c.headers...)
			var answer struct {
				Error struct{ Message, Type, Code string }
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatalf("%d %s: %v", res.StatusCode, body, err)
			}
			if res.StatusCode != c.status || answer.Error.Code != c.code || answer.Error.Message == "" || answer.Error.Type == "" {
				t.Errorf("%d %s, want %d %s", res.StatusCode, body, c.status, c.code)
			}
			if got := res.Header.Get(refusal.ReasonHeader); got != c.reason {
				t.Errorf("dropped reason %q, want %q", got, c.reason)
			}
			if (res.StatusCode == 503) != (res.Header.Get("Retry-After") != "") {
				t.Errorf("Retry-After is %q", res.Header.Get("Retry-After"))
			}
		})
	}
	if res, _ := alive.post(t, "/v1/completions", chat); res.StatusCode != http.StatusOK {
		t.Errorf("a good request after the bad ones: %d", res.StatusCode)
	}
}

// TestServerDiesMidStream wants the client to see the answer break off, and the
// slot back.
func TestServerDiesMidStream(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {}\n\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(upstream.Close)
	r := newRig(t, 1, upstream.URL)
	for range 3 { // the only slot is free again each time
		res, err := r.client.Post(r.url+"/v1/chat/completions", "application/json", strings.NewReader(chat))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("the answer ended well although the server died")
		}
		_ = res.Body.Close()
	}
}

// TestClientsHangUp has 500 clients, a third of which hang up at random moments:
// afterwards nothing is in flight or queued and every request has one outcome.
func TestClientsHangUp(t *testing.T) {
	const clients = 500
	r := newRig(t, 8, newModelServer(t), newModelServer(t))
	rng := rand.New(rand.NewPCG(1, 1))
	var wg sync.WaitGroup
	var sent atomic.Int64
	for i := range clients {
		patience := time.Duration(0)
		if i%3 == 0 {
			patience = time.Duration(rng.IntN(200)) * time.Millisecond
		}
		stream := i%2 == 0
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if i%3 == 0 {
				timer := time.AfterFunc(patience, cancel)
				defer timer.Stop()
			}
			body := fmt.Sprintf(`{"model":"m","max_tokens":20,"stream":%v,"messages":[]}`, stream)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/chat/completions", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("x-llm-d-inference-fairness-id", fmt.Sprint("tenant-", i%7))
			sent.Add(1)
			res, err := r.client.Do(req)
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if ctx.Err() == nil && (err != nil || res.StatusCode != http.StatusOK) {
				t.Errorf("a patient client got %d, %v", res.StatusCode, err)
			}
		})
	}
	wg.Wait()
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		pool := r.view(t).Totals
		if pool.InFlight == 0 && pool.Queued == 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("in flight %d, queued %d when all clients are gone", pool.InFlight, pool.Queued)
		}
	}
	decided, answered := r.figure(t, "weir_flow_control_requests_total"), r.figure(t, "weir_http_requests_total")
	if decided > float64(sent.Load()) || answered < decided {
		t.Errorf("%v outcomes and %v answers for %d requests", decided, answered, sent.Load())
	}
	if r.figure(t, "weir_flow_control_request_queue_duration_seconds") == 0 {
		t.Error("no waits were measured")
	}
}

// TestClientHalfCloses wants a client that closes its sending side while its request waits
// to read no answer: it counts as gone, and holds nothing any more.
func TestClientHalfCloses(t *testing.T) {
	r := newRigWith(t, 1, []controller.Option{controller.WithTTL(time.Minute, time.Minute)}, nil) // without a server everything waits
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test
	fmt.Fprintf(conn, "POST /v1/completions HTTP/1.1\r\nHost: weir\r\nContent-Length: %d\r\n\r\n%s", len(chat), chat)
	for r.view(t).Totals.Queued == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || len(answer) > 0 {
		t.Errorf("the client reads %q, %v; want the connection's end", answer, err)
	}
	if n := r.figure(t, "weir_http_requests_total", "code", "499"); n != 1 {
		t.Errorf("%v answers count as 499, want 1", n)
	}
	for until := time.Now().Add(10 * time.Second); r.view(t).Totals.Queued > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("its request still waits")
		}
	}
}

func TestMetricsAndProbes(t *testing.T) {
	r := newRig(t, 2, newModelServer(t))
	r.post(t, "/v1/completions", chat)
	w := httptest.NewRecorder()
	r.admin.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", nil))
	for _, name := range []string{
		`weir_flow_control_requests_total{inference_pool="test",outcome="Dispatched",priority="0"} 1`,
		`weir_flow_control_limit{inference_pool="test"} 2`, `weir_ledger_state{inference_pool="test",state="connected"} 1`,
		"weir_flow_control_pool_saturation", "weir_flow_control_request_queue_duration_seconds_bucket", "weir_ledger_turn_duration_seconds_count",
	} {
		if !bytes.Contains(w.Body.Bytes(), []byte(name)) {
			t.Errorf("/metrics lacks %s", name)
		}
	}
	for ready, want := range map[bool]int{true: 200, false: 503} {
		r.admin.SetReady(ready)
		w := httptest.NewRecorder()
		r.admin.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/readyz", nil))
		if w.Code != want {
			t.Errorf("/readyz when ready is %v: %d", ready, w.Code)
		}
	}
	for _, want := range []int{http.StatusNotFound, http.StatusOK} { // before and after it is asked for
		w := httptest.NewRecorder()
		r.admin.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/debug/pprof/", nil))
		if w.Code != want {
			t.Errorf("/debug/pprof/: %d, want %d", w.Code, want)
		}
		if want == http.StatusNotFound {
			r.admin.ServeProfiles()
		}
	}
}

// blocking is a detector that says nothing until it may.
type blocking struct {
	policies.Named
	until chan struct{}
}

func (b *blocking) Saturation(context.Context, time.Time, []policies.EndpointAccessor) float64 {
	<-b.until
	return 0
}

// TestStuckIsNotHealthy wants /healthz to fail while flow control takes nothing in.
func TestStuckIsNotHealthy(t *testing.T) {
	detector := &blocking{policies.NewNamed("blocking", "blocking"), make(chan struct{})}
	r := newRigWith(t, 1, []controller.Option{controller.WithSaturationDetector(detector)}, func(c *rigConfig) { c.StuckAfter = 50 * time.Millisecond }, newModelServer(t))
	r.pool.Observe()
	healthz := func() int {
		w := httptest.NewRecorder()
		r.admin.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/healthz", nil))
		return w.Code
	}
	if code := healthz(); code != http.StatusServiceUnavailable {
		t.Errorf("%d while it is stuck", code)
	}
	close(detector.until)
	if code := healthz(); code != http.StatusOK {
		t.Errorf("%d when it goes on", code)
	}
}
