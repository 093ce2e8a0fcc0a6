package tracing

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
)

// Request is the trace of one request. It is used by one goroutine at a time.
type Request struct {
	tracing  *Tracing
	ctx      context.Context //nolint:containedctx // the gateway's span, for those below it
	server   trace.Span
	upstream trace.Span // the last that was begun; nil for none
}

// operations are what the paths of the API ask for, in the words of the GenAI conventions.
var operations = map[string]string{
	"/v1/chat/completions": "chat", "/v1/responses": "chat", "/v1/messages": "chat",
	"/v1/completions": "text_completion", "/v1/embeddings": "embeddings",
}

// methods are those of HTTP. Others are whatever clients make up: the conventions have them be
// otherMethod, in spans whose name begins with otherName.
var methods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true, http.MethodPatch: true,
	http.MethodDelete: true, http.MethodConnect: true, http.MethodOptions: true, http.MethodTrace: true,
}

const otherMethod, otherName = "_OTHER", "HTTP"

// Begin begins the trace of a request that came in with the headers at the time: as a part
// of its caller's, if they name one. The path, as the texts of a Summary, is valid UTF-8 and
// bounded by its caller.
func (t *Tracing) Begin(method, path string, h http.Header, at time.Time) *Request {
	if t == nil {
		return nil
	}
	ctx := t.propagator.Extract(context.Background(), propagation.HeaderCarrier(h))
	name := method
	if !methods[method] {
		method, name = otherMethod, otherName
	}
	if operations[path] != "" { // others are whatever clients make up
		name += " " + path
	}
	r := &Request{tracing: t}
	r.ctx, r.server = t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(at),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.URLPath(path)))
	return r
}

// ID is the trace's; empty without one.
func (r *Request) ID() string {
	if r == nil {
		return ""
	}
	return r.server.SpanContext().TraceID().String()
}

// Sampled is the trace's id if it is kept, for exemplars; empty otherwise.
func (r *Request) Sampled() string {
	if r == nil || !r.server.SpanContext().IsSampled() {
		return ""
	}
	return r.ID()
}

// Upstream begins what a model server does at an address, and calls set with the headers by
// which the server makes its own spans a part of it.
func (r *Request) Upstream(address string, set func(name, value string)) {
	if r == nil {
		return
	}
	attributes := make([]attribute.KeyValue, 0, 2)
	if host, port, err := net.SplitHostPort(address); err == nil {
		attributes = append(attributes, semconv.ServerAddress(host))
		if n, err := strconv.Atoi(port); err == nil {
			attributes = append(attributes, semconv.ServerPort(n))
		}
	}
	var ctx context.Context
	ctx, r.upstream = r.tracing.tracer.Start(r.ctx, "model server", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	r.tracing.propagator.Inject(ctx, setter(set))
}

// UpstreamFailed ends what a model server did: another one may be tried.
func (r *Request) UpstreamFailed(err error) {
	if r == nil || r.upstream == nil {
		return
	}
	r.upstream.SetStatus(codes.Error, err.Error())
	r.upstream.End()
	r.upstream = nil
}

// setter sets headers. It implements propagation.TextMapCarrier.
type setter func(name, value string)

func (s setter) Set(name, value string) { s(name, value) }

// Get implements propagation.TextMapCarrier; nothing is read by it.
func (s setter) Get(string) string { return "" }

// Keys implements propagation.TextMapCarrier.
func (s setter) Keys() []string { return nil }

// Summary is what is known of a request once it is over.
type Summary struct {
	ID, Path, Model string
	Flow, Objective string
	Priority        int
	Status          int
	// Reason is the code of the gateway's own answer; empty if it gave none.
	Reason string

	// Enqueued is when it came to flow control, the zero time if it never did, and Waited
	// how long it was there. Owner is the replica in whose queue it was, Obstacle what was
	// in its way when it came; both may be empty.
	Enqueued        time.Time
	Waited          time.Duration
	Dispatched      bool
	Owner, Obstacle string
	// Offered is when it was offered to the ledger, and Lined when it came to stand in line;
	// the zero time for what did not happen or is not known.
	Offered, Lined time.Time
	// ByFloat says that the replica let it go without a question.
	ByFloat bool
	Charge  float64

	// Counted says that the server said what it cost.
	Counted                           bool
	TokensIn, TokensCached, TokensOut int64
	// FirstToken is when the answer's first token came; the zero time if none did.
	FirstToken time.Time
}

// End ends the request's spans.
func (r *Request) End(s *Summary) {
	if r == nil {
		return
	}
	if !r.server.IsRecording() {
		r.server.End()
		if r.upstream != nil {
			r.upstream.End()
		}
		return
	}
	if !s.Enqueued.IsZero() {
		r.queue(s)
	}
	if r.upstream != nil {
		r.endUpstream(s)
	}
	r.server.SetAttributes(
		semconv.HTTPResponseStatusCode(s.Status), attribute.String("weir.request.id", s.ID), attribute.String("weir.replica", r.tracing.replica),
		attribute.String("weir.flow", s.Flow), attribute.Int("weir.priority", s.Priority),
	)
	if s.Objective != "" {
		r.server.SetAttributes(attribute.String("weir.objective", s.Objective))
	}
	if s.Reason != "" {
		r.server.SetAttributes(semconv.ErrorTypeKey.String(s.Reason))
	}
	if s.Status >= 500 {
		r.server.SetStatus(codes.Error, s.Reason)
	}
	r.server.End()
}

// queue makes the span of the wait in flow control.
func (r *Request) queue(s *Summary) {
	_, span := r.tracing.tracer.Start(r.ctx, "queue", trace.WithTimestamp(s.Enqueued), trace.WithAttributes(
		attribute.String("weir.flow", s.Flow), attribute.Int("weir.priority", s.Priority),
	))
	end := s.Enqueued.Add(s.Waited)
	if s.Owner != "" {
		span.SetAttributes(attribute.String("weir.owner", s.Owner), attribute.String("weir.waited_for", s.Obstacle))
		if s.Owner != r.tracing.replica {
			span.AddEvent("handed to owner", trace.WithTimestamp(s.Enqueued), trace.WithAttributes(attribute.String("weir.owner", s.Owner)))
		}
	}
	for _, step := range []struct {
		name string
		at   time.Time
	}{{"offered", s.Offered}, {"in line", s.Lined}} {
		if !step.at.IsZero() {
			span.AddEvent(step.name, trace.WithTimestamp(step.at))
		}
	}
	switch {
	case s.Dispatched && s.ByFloat:
		span.AddEvent("by float", trace.WithTimestamp(end))
	case s.Dispatched:
		span.AddEvent("granted", trace.WithTimestamp(end), trace.WithAttributes(attribute.Float64("weir.charge", s.Charge)))
	default:
		span.SetAttributes(semconv.ErrorTypeKey.String(s.Reason))
		span.SetStatus(codes.Error, s.Reason)
	}
	span.End(trace.WithTimestamp(end))
}

// endUpstream ends the model server's part, by the GenAI conventions.
func (r *Request) endUpstream(s *Summary) {
	name := s.Model
	if operation := operations[s.Path]; operation != "" {
		r.upstream.SetAttributes(semconv.GenAIOperationNameKey.String(operation))
		name = operation + " " + s.Model
	}
	if s.Model != "" {
		r.upstream.SetName(name)
		r.upstream.SetAttributes(semconv.GenAIRequestModel(s.Model))
	}
	if s.Counted {
		r.upstream.SetAttributes(
			semconv.GenAIUsageInputTokensKey.Int64(s.TokensIn), semconv.GenAIUsageCacheReadInputTokensKey.Int64(s.TokensCached),
			semconv.GenAIUsageOutputTokensKey.Int64(s.TokensOut),
		)
	}
	if !s.FirstToken.IsZero() {
		r.upstream.AddEvent("first token", trace.WithTimestamp(s.FirstToken))
	}
	if s.Status >= 500 || s.Reason != "" {
		cause := s.Reason
		if cause == "" {
			cause = strconv.Itoa(s.Status)
		}
		r.upstream.SetAttributes(semconv.ErrorTypeKey.String(cause))
		r.upstream.SetStatus(codes.Error, cause)
	}
	r.upstream.End()
	r.upstream = nil
}
