package tracing_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/gateway/tracing"
)

// asked are variables that ask for traces, and one more.
func asked(name, value string) map[string]string {
	return map[string]string{"OTEL_TRACES_EXPORTER": "otlp", name: value}
}

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
		{set: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_PROPAGATORS": "baggage, none", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25", "OTEL_RESOURCE_ATTRIBUTES": "a=b,c=d%20e"}, on: true},
		{set: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, wrong: `OTEL_TRACES_EXPORTER "zipkin": must be otlp or none`},
		{set: map[string]string{"OTEL_SDK_DISABLED": "yes"}, wrong: `OTEL_SDK_DISABLED "yes": must be true or false`},
		{set: asked("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"), wrong: `OTEL_EXPORTER_OTLP_PROTOCOL "http/json": must be http/protobuf or grpc`},
		{set: asked("OTEL_PROPAGATORS", "b3"), wrong: `OTEL_PROPAGATORS "b3": must be of tracecontext, baggage and none`},
		{set: asked("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"), wrong: `OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL such as http://collector:4318`},
		{set: asked("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://:pass@"), wrong: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: must be a URL`},
		{set: asked("OTEL_EXPORTER_OTLP_HEADERS", "secret"), wrong: `OTEL_EXPORTER_OTLP_HEADERS: must be of the form name=value`},
		{set: asked("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such"), wrong: `OTEL_EXPORTER_OTLP_CERTIFICATE "/no/such": must be a file that can be read`},
		{set: asked("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"), wrong: `OTEL_EXPORTER_OTLP_COMPRESSION "zip": must be gzip or none`},
		{set: asked("OTEL_TRACES_SAMPLER", "sometimes"), wrong: `OTEL_TRACES_SAMPLER "sometimes": must be always_on, `},
		{set: asked("OTEL_TRACES_SAMPLER_ARG", "10%"), wrong: `OTEL_TRACES_SAMPLER_ARG "10%": must be a number from 0 to 1`},
		{set: asked("OTEL_BSP_SCHEDULE_DELAY", "5s"), wrong: `OTEL_BSP_SCHEDULE_DELAY "5s": must be a whole number of milliseconds`},
		{set: asked("OTEL_RESOURCE_ATTRIBUTES", "team"), wrong: `OTEL_RESOURCE_ATTRIBUTES "team": must be of the form name=value`},
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
