package replica_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/weirflow/weir/internal/redistest"
)

// traces is a collector that keeps the spans it is sent, by HTTP and by gRPC.
type traces struct {
	collector.UnimplementedTraceServiceServer
	mu      sync.Mutex
	spans   []*spans.Span
	service string
}

// Export implements the collector's service.
func (c *traces) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range r.GetResourceSpans() {
		c.service = text(of.GetResource().GetAttributes(), "service.name")
		for _, scope := range of.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// ServeHTTP implements http.Handler.
func (c *traces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var q collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &q)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, fmt.Sprint(err), http.StatusBadRequest)
		return
	}
	_, _ = c.Export(r.Context(), &q) // keeps it
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// start serves the collector by a protocol, and returns its address.
func (c *traces) start(t *testing.T, protocol string) string {
	t.Helper()
	if protocol != "grpc" {
		server := httptest.NewServer(c)
		t.Cleanup(server.Close)
		return server.URL
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(listener) }() // until it is stopped
	t.Cleanup(server.Stop)
	return "http://" + listener.Addr().String()
}

// named returns the spans of a trace by their names without what varies.
func (c *traces) named(trace string) map[string]*spans.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string]*spans.Span)
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetTraceId()) == trace {
			all[strings.Fields(s.GetName())[0]] = s
		}
	}
	return all
}

func (c *traces) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spans)
}

// text is an attribute's value.
func text(all []*common.KeyValue, key string) string {
	for _, a := range all {
		if a.GetKey() == key {
			switch v := a.GetValue().GetValue().(type) {
			case *common.AnyValue_StringValue:
				return v.StringValue
			case *common.AnyValue_IntValue:
				return fmt.Sprint(v.IntValue)
			}
		}
	}
	return ""
}

// TestTraces sends requests that are parts of their callers' traces, and wants one trace
// each, whose spans hang together from the caller's to the one that the server is told of.
func TestTraces(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) { testTraces(t, protocol) })
	}
}

func testTraces(t *testing.T, protocol string) {
	c := &traces{}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.start(t, protocol))
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	t.Setenv("OTEL_SERVICE_NAME", "gateway of a test")
	var told sync.Map // what the server is told, by the request's id
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			told.Store(r.Header.Get("X-Request-Id"), r.Header.Get("Traceparent"))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":2}},"choices":[{}]}`)
	}))
	t.Cleanup(server.Close)
	r := start(t, "", map[string]string{"upstream": server.URL})
	const requests, parent = 9, "00f067aa0ba902b7"
	for i := range requests {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/completions", strings.NewReader(`{"model":"m","prompt":"a longer prompt than nothing"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Request-Id", fmt.Sprint("request-", i))
		req.Header.Set("Traceparent", fmt.Sprintf("00-4bf92f3577b34da6a3ce929d0e0e47%02x-%s-01", i, parent))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	eventually(t, "all spans come", func() bool { return c.count() >= 3*requests })
	if c.count() != 3*requests || c.service != "gateway of a test" {
		t.Errorf("%d spans of %q, want 3 for each request", c.count(), c.service)
	}
	for i := range requests {
		trace := fmt.Sprintf("4bf92f3577b34da6a3ce929d0e0e47%02x", i)
		all := c.named(trace)
		own, queue, upstream := all["POST"], all["queue"], all["text_completion"]
		if own == nil || queue == nil || upstream == nil {
			t.Fatalf("trace %s has %v", trace, all)
		}
		id := hex.EncodeToString(own.GetSpanId())
		if got := hex.EncodeToString(own.GetParentSpanId()); got != parent || own.GetKind() != spans.Span_SPAN_KIND_SERVER {
			t.Errorf("the gateway's span is a %v below %s, want a server's below %s", own.GetKind(), got, parent)
		}
		for _, below := range []*spans.Span{queue, upstream} {
			if got := hex.EncodeToString(below.GetParentSpanId()); got != id {
				t.Errorf("%s is below %s, want %s", below.GetName(), got, id)
			}
		}
		want := fmt.Sprintf("00-%s-%s-01", trace, hex.EncodeToString(upstream.GetSpanId()))
		if got, _ := told.Load(fmt.Sprint("request-", i)); got != want {
			t.Errorf("the server is told %v, want %s", got, want)
		}
		for key, want := range map[string]string{
			"gen_ai.request.model": "m", "gen_ai.operation.name": "text_completion", "server.address": "127.0.0.1",
			"gen_ai.usage.input_tokens": "7", "gen_ai.usage.cache_read.input_tokens": "2", "gen_ai.usage.output_tokens": "3",
		} {
			if got := text(upstream.GetAttributes(), key); got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		if got := text(own.GetAttributes(), "weir.flow") + text(own.GetAttributes(), "http.response.status_code"); got != "default-flow200" {
			t.Errorf("flow and status are %q", got)
		}
		if got := steps(t, queue); got != "by float" && got != "offered, granted" {
			t.Errorf("the wait's events are %s, want that it was let go", got)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"weir_flow_control_request_queue_duration_seconds_bucket", "weir_request_first_token_seconds_bucket", "weir_request_duration_seconds_bucket"} {
		found := false
		for _, line := range strings.Split(string(page), "\n") {
			found = found || strings.HasPrefix(line, name) && strings.Contains(line, `# {trace_id="4bf92f3577b34da6a3ce929d0e0e47`)
		}
		if !found {
			t.Errorf("no bucket of %s has a trace as its exemplar", name)
		}
	}
}

// steps are the names of a wait's events, which must be in order of time and within it.
func steps(t *testing.T, queue *spans.Span) string {
	t.Helper()
	var names []string
	last := queue.GetStartTimeUnixNano()
	for _, e := range queue.GetEvents() {
		if at := e.GetTimeUnixNano(); at < last || at > queue.GetEndTimeUnixNano() {
			t.Errorf("%s is %v after what came before, and %v before the end", e.GetName(), time.Duration(at-last), time.Duration(queue.GetEndTimeUnixNano()-at))
		}
		last = e.GetTimeUnixNano()
		names = append(names, e.GetName())
	}
	return strings.Join(names, ", ")
}

// TestStepsOfWaits wants the waits of a full pool to say when they were offered to the ledger,
// since when they stood in line and when they were let go, also where another replica has the
// queue.
func TestStepsOfWaits(t *testing.T) {
	redis := redistest.Start(t)
	c := &traces{}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.start(t, ""))
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) }))
	t.Cleanup(server.Close)
	flags := map[string]string{"redis": redis.URL(), "upstream": server.URL, "max-concurrency": "4", "replica-id": "a", "gossip": "127.0.0.1:0"}
	a := start(t, "", flags)
	flags = maps.Clone(flags)
	flags["replica-id"], flags["join"] = "b", a.gossip
	start(t, "", flags)
	want := []string{"offered, granted", "offered, in line, granted", "handed to owner, offered, granted", "handed to owner, offered, in line, granted"}
	seen := func() (all []string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range c.spans {
			if s.GetName() == "queue" {
				all = append(all, steps(t, s))
			}
		}
		c.spans = nil
		return all
	}
	eventually(t, "waits have all kinds of steps", func() bool {
		answers := make([]<-chan string, 40)
		for i := range answers {
			answers[i] = a.send(t.Context(), fmt.Sprint("tenant-", i%8), "")
		}
		for _, answer := range answers {
			if text := <-answer; !strings.HasPrefix(text, "200") {
				t.Error(text)
			}
		}
		all := seen()
		want = slices.DeleteFunc(want, func(w string) bool { return slices.Contains(all, w) })
		return len(want) == 0
	})
}

// TestTracesAsAskedFor wants what the variables say wrong to be named, and none to be made
// if they do not ask for any.
func TestTracesAsAskedFor(t *testing.T) {
	c := &traces{}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.start(t, ""))
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	r := start(t, "", nil)
	if status := r.ask(t, ""); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if n := c.count(); n != 0 {
		t.Errorf("%d spans, without having asked for any", n)
	}
}
