package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// Tracing makes traces and exports them. It is safe for concurrent use.
type Tracing struct {
	provider   *sdktrace.TracerProvider
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	replica    string
}

// FromEnvironment returns tracing as the process's variables say, for a replica; nil if they
// do not ask for any. What is wrong with them is an error that names each and says what would
// be right; what they say otherwise is the SDK's to read.
func FromEnvironment(ctx context.Context, replica, version string, log *zap.Logger) (*Tracing, error) {
	if err := check(whether); err != nil || !wanted() {
		return nil, err
	}
	if err := check(how); err != nil {
		return nil, err
	}
	propagator, client := propagators(), client()
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	described, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("weir"), semconv.ServiceInstanceID(replica), semconv.ServiceVersion(version)),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err), exporter.Shutdown(ctx))
	}
	otel.SetErrorHandler(&complaints{log: log}) // the SDK has no other place for what goes wrong
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described))
	return &Tracing{provider: provider, tracer: provider.Tracer("github.com/weirflow/weir"), propagator: propagator, replica: replica}, nil
}

// Close exports what is left, for as long as ctx holds.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// variable is the first of these variables that is set.
func variable(names ...string) string {
	for _, name := range names {
		if value := strings.TrimSpace(os.Getenv(name)); value != "" {
			return strings.ToLower(value)
		}
	}
	return ""
}

// wanted reports whether the variables ask for traces: by name, or by where they go.
func wanted() bool {
	if variable("OTEL_SDK_DISABLED") == "true" {
		return false
	}
	if exporter := variable("OTEL_TRACES_EXPORTER"); exporter != "" {
		return exporter == "otlp"
	}
	return variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") != ""
}

// client speaks the protocol that the variables name.
func client() otlptrace.Client {
	if variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc" {
		return otlptracegrpc.NewClient()
	}
	return otlptracehttp.NewClient()
}

// propagators read and write the headers that the variables name.
func propagators() propagation.TextMapPropagator {
	var all []propagation.TextMapPropagator
	for name := range strings.SplitSeq(cmp.Or(variable("OTEL_PROPAGATORS"), "tracecontext,baggage"), ",") {
		switch strings.TrimSpace(name) {
		case "tracecontext":
			all = append(all, propagation.TraceContext{})
		case "baggage":
			all = append(all, propagation.Baggage{})
		}
	}
	return propagation.NewCompositeTextMapPropagator(all...)
}

// complaints logs what the SDK says goes wrong, at most once a minute.
type complaints struct {
	log  *zap.Logger
	mu   sync.Mutex
	last time.Time
}

// Handle implements otel.ErrorHandler.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last) < time.Minute {
		return
	}
	c.last = time.Now()
	c.log.Warn("traces are lost", zap.Error(err))
}
