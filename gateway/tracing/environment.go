package tracing

import (
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
// do not ask for any. Endpoint, headers, sampler, limits, batches and the resource are the
// SDK's to read.
func FromEnvironment(ctx context.Context, replica, version string, log *zap.Logger) (*Tracing, error) {
	wanted, err := wanted()
	if err != nil || !wanted {
		return nil, err
	}
	propagator, err := propagators()
	if err != nil {
		return nil, err
	}
	client, err := client()
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	described, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("weir"), semconv.ServiceInstanceID(replica), semconv.ServiceVersion(version)),
		resource.WithFromEnv(),
	)
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
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
func variable(names ...string) (value, name string) {
	for _, name := range names {
		if value := strings.TrimSpace(os.Getenv(name)); value != "" {
			return value, name
		}
	}
	return "", names[len(names)-1]
}

// errVariable wraps what is wrong with a variable.
var errVariable = errors.New("not supported")

// wanted reports whether the variables ask for traces: by name, or by where they go.
func wanted() (bool, error) {
	if disabled, _ := variable("OTEL_SDK_DISABLED"); strings.EqualFold(disabled, "true") {
		return false, nil
	}
	exporter, name := variable("OTEL_TRACES_EXPORTER")
	switch exporter {
	case "otlp":
		return true, nil
	case "none":
		return false, nil
	case "":
		to, _ := variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
		return to != "", nil
	}
	return false, fmt.Errorf("%s=%s: %w: it must be otlp or none", name, exporter, errVariable)
}

// client speaks the protocol that the variables name.
func client() (otlptrace.Client, error) {
	switch protocol, name := variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol {
	case "", "http/protobuf":
		return otlptracehttp.NewClient(), nil
	case "grpc":
		return otlptracegrpc.NewClient(), nil
	default:
		return nil, fmt.Errorf("%s=%s: %w: it must be http/protobuf or grpc", name, protocol, errVariable)
	}
}

// propagators read and write the headers that the variables name.
func propagators() (propagation.TextMapPropagator, error) {
	names, name := variable("OTEL_PROPAGATORS")
	if names == "" {
		names = "tracecontext,baggage"
	}
	var all []propagation.TextMapPropagator
	for _, one := range strings.Split(names, ",") {
		switch one {
		case "tracecontext":
			all = append(all, propagation.TraceContext{})
		case "baggage":
			all = append(all, propagation.Baggage{})
		case "none":
		default:
			return nil, fmt.Errorf("%s=%s: %w: it must be of tracecontext, baggage and none", name, names, errVariable)
		}
	}
	return propagation.NewCompositeTextMapPropagator(all...), nil
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
