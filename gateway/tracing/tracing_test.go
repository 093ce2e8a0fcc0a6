package tracing_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/gateway/tracing"
)

// TestVariables wants traces where they are asked for, and what is not supported to be named.
func TestVariables(t *testing.T) {
	for _, c := range []struct {
		set   map[string]string
		on    bool
		wrong string
	}{
		{set: nil},
		{set: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, on: true},
		{set: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, on: true},
		{set: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, on: true},
		{set: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}},
		{set: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}},
		{set: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, wrong: "OTEL_TRACES_EXPORTER=zipkin"},
		{set: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, wrong: "OTEL_EXPORTER_OTLP_PROTOCOL=http/json"},
		{set: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_PROPAGATORS": "b3"}, wrong: "OTEL_PROPAGATORS=b3"},
	} {
		t.Run("", func(t *testing.T) {
			for name, value := range c.set {
				t.Setenv(name, value)
			}
			traces, err := tracing.FromEnvironment(t.Context(), "r", "v1", zap.NewNop())
			if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%v: %v, want %q", c.set, err, c.wrong)
			}
			if (traces != nil) != c.on {
				t.Errorf("%v: traces are made: %v", c.set, traces != nil)
			}
			if err := traces.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOffIsFree wants requests without traces to allocate nothing for them.
func TestOffIsFree(t *testing.T) {
	var traces *tracing.Tracing
	h, now := http.Header{}, time.Now()
	if n := testing.AllocsPerRun(100, func() {
		r := traces.Begin(http.MethodPost, "/v1/completions", h, now)
		r.UpstreamFailed(nil)
		if r != nil || r.ID()+r.Sampled() != "" {
			t.Error("there is a trace")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
