package gateway_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/accesslog"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/gateway/tracing"
)

// newTraces makes traces until flush, which returns their spans.
func newTraces(t *testing.T) (traces *tracing.Tracing, flush func() []*spans.Span) {
	t.Helper()
	got := make(chan *collector.ExportTraceServiceRequest, 16)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		q := &collector.ExportTraceServiceRequest{}
		if err == nil {
			err = proto.Unmarshal(body, q)
		}
		if err != nil {
			t.Error(err)
		}
		got <- q
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	traces, err := tracing.FromEnvironment(t.Context(), "r1", "v1", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return traces, func() (all []*spans.Span) {
		if err := traces.Close(t.Context()); err != nil {
			t.Error(err)
		}
		close(got)
		for q := range got {
			for _, of := range q.GetResourceSpans() {
				for _, scope := range of.GetScopeSpans() {
					all = append(all, scope.GetSpans()...)
				}
			}
		}
		return all
	}
}

// TestStrangersTraces wants what clients make up to be bounded in traces and in the request
// log, and the trace that a caller names to count where its key is known, and nowhere else.
func TestStrangersTraces(t *testing.T) {
	const caller, long = "4bf92f3577b34da6a3ce929d0e0e4736", 10_000
	traces, flush := newTraces(t)
	selection, err := accesslog.Parse("all")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := accesslog.New(&out, selection, zap.NewNop())
	r := rig.With(t, 1, nil, func(c *rig.Config) {
		c.Keys, c.Tracing, c.AccessLog = flows.Keys{sha256.Sum256([]byte("secret")): "a"}, traces, log
	}, rig.ModelServer(t))
	body := `{"model":"` + strings.Repeat("m", long) + `","prompt":"hi"}`
	for _, c := range []struct{ method, path, key string }{
		{strings.Repeat("X", long), "/v1/completions", "guessed"},
		{http.MethodPost, "/v1/completions", ""},
		{http.MethodPost, "/v1/%ff/" + strings.Repeat("p", long), "guessed"},
		{http.MethodPost, "/v1/completions", "secret"},
	} {
		q, err := http.NewRequestWithContext(t.Context(), c.method, r.URL+c.path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Traceparent", "00-"+caller+"-00f067aa0ba902b7-01")
		q.Header.Set("Authorization", "Bearer "+c.key)
		q.Header.Set(headers.Objective[0], "\xff"+strings.Repeat("o", long))
		res, err := r.Client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		refused := res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusBadRequest // the path comes before the key
		if known := !refused; known != (c.key == "secret") {
			t.Errorf("%.20s %.20s with the key %q: %d", c.method, c.path, c.key, res.StatusCode)
		}
	}
	r.Server.Close() // once all requests are over
	log.Close()
	names := make(map[string]int)
	for _, s := range flush() {
		names[s.GetName()]++
		follows := hex.EncodeToString(s.GetTraceId()) == caller
		flow := ""
		for _, a := range s.GetAttributes() {
			value := a.GetValue().GetStringValue()
			if len(value) > gateway.MaxTold+len("\ufffd") || !utf8.ValidString(value) {
				t.Errorf("%s of %.20s has %d bytes", a.GetKey(), s.GetName(), len(value))
			}
			if a.GetKey() == "http.request.method" && value != http.MethodPost && value != "_OTHER" {
				t.Errorf("the method is %.20s", value)
			}
			if a.GetKey() == "weir.flow" {
				flow = value
			}
		}
		if s.GetKind() == spans.Span_SPAN_KIND_SERVER && follows != (flow == "a") {
			t.Errorf("the request of %q is a part of its caller's trace: %v", flow, follows)
		}
	}
	for name, want := range map[string]int{
		"HTTP /v1/completions": 1, "POST /v1/completions": 2, "POST": 1, "queue": 1, "text_completion " + strings.Repeat("m", gateway.MaxTold): 1,
	} {
		if names[name] != want {
			t.Errorf("%d spans %.40s, want %d", names[name], name, want)
		}
		delete(names, name)
	}
	if len(names) > 0 {
		t.Errorf("there are other spans: %.200v", names)
	}
	lines := 0
	for line := range strings.Lines(out.String()) {
		lines++
		var all map[string]any
		if err := json.Unmarshal([]byte(line), &all); err != nil || len(line) > 4*gateway.MaxTold+512 {
			t.Errorf("a line of %d bytes, %v", len(line), err)
		}
	}
	if lines != 4 {
		t.Errorf("%d lines, want 4", lines)
	}
}
