// Package tracing makes a trace of each request, by OpenTelemetry: a span of the gateway's,
// and below it one of the wait in flow control and one of what the model server does. The
// caller's span is the parent of the first, and the last is the parent of the server's.
//
// It is on, and goes where, as the usual OTEL_* variables say. A nil Tracing, and a nil
// Request, do nothing and cost nothing.
package tracing
