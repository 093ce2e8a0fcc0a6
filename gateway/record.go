package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/accesslog"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/modelapi"
	"github.com/weirflow/weir/gateway/tracing"
	"github.com/weirflow/weir/policies"
)

// Headers of every answer.
const (
	// RequestIDHeader names the request: as its client did, or by an id made here. The
	// model server gets it, too.
	RequestIDHeader = "X-Request-Id"
	// QueueDurationHeader is how many milliseconds the request waited in flow control. An
	// answer to one that never came so far does not have it.
	QueueDurationHeader = "X-Llm-D-Flow-Queue-Duration-Ms"
	// SessionHeader is what a client gives to go where an earlier request went, as the answer
	// to that told it; it is there where the session-affinity-scorer chooses.
	SessionHeader = "X-Session-Token"
	// WarningHeader says what of the request was passed over.
	WarningHeader = "X-Weir-Warning"

	serverTimingHeader = "Server-Timing"
)

// Record is what is told of a request beside its answer: in headers, in the request log and
// in the metrics. It is used by the goroutine that serves the request, from Begin to Over.
type Record struct {
	arrived      time.Time
	id, trace    string
	spans        *tracing.Request // nil without a trace
	warning      string           // for WarningHeader
	session      string           // for SessionHeader
	method, path string           // as told

	pool      *Pool            // nil until it is known
	flow      policies.FlowKey // as it was queued, once that is known
	objective string           // whole, since priorities go by it
	model     string           // as told

	enqueued  time.Time     // when it came to flow control; zero before
	waited    time.Duration // in flow control, once that is over
	owner     string
	obstacle  controller.Obstacle
	charge    float64
	byFloat   bool
	offered   time.Time // to the ledger, where that is known; zero otherwise
	lined     time.Time // when it came to stand in line, if it went from there
	endpoint  string
	responded time.Time // when the model server's answer began; zero before
	tokens    modelapi.Tokens
	held      time.Duration // the slot, once it is given back

	reason string // why the gateway ended it: a refusal's code
}

// ID is the request's.
func (r *Record) ID() string { return r.id }

// Arrived is when it came; zero if none did.
func (r *Record) Arrived() time.Time { return r.arrived }

// Refuse notes the code with which the gateway ends the request itself.
func (r *Record) Refuse(code string) { r.reason = code }

// Refused reports whether the gateway ended it.
func (r *Record) Refused() bool { return r.reason != "" }

// Traced reports whether it has a trace.
func (r *Record) Traced() bool { return r.spans != nil }

// Upstream begins what a model server does, and calls set with the headers by which the server
// makes its own spans a part of the trace.
func (r *Record) Upstream(set func(name, value string)) {
	if r.spans != nil {
		r.spans.Upstream(r.endpoint, set)
	}
}

// UpstreamFailed ends that with an error.
func (r *Record) UpstreamFailed(err error) { r.spans.UpstreamFailed(err) }

// Bounds on what clients make up, in bytes.
const (
	maxRequestID = 128
	maxTold      = 256 // of a text in logs, traces and metrics
)

// told is a client's text as it goes into logs, traces and metrics: cut, and valid UTF-8,
// without which a collector refuses all that comes with it.
func told(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxTold)], "\ufffd")
}

// begin takes in a request that has just come, and names it: by its client's id if that can
// go into logs and headers as it is, and else by a new one. The headers, which go on to the
// model server, have it afterwards.
func (r *Record) begin(method, path string, h http.Header) {
	r.arrived, r.method, r.path, r.trace = time.Now(), told(method), told(path), traceOf(h)
	r.id = h.Get(RequestIDHeader)
	if isRequestID(r.id) && len(h[RequestIDHeader]) == 1 {
		return
	}
	if r.id != "" {
		r.warn("the request's " + RequestIDHeader + " was replaced: it may have up to 128 printable ASCII characters, without spaces")
	}
	r.id = newRequestID()
	h[RequestIDHeader] = []string{r.id}
}

// follow begins the request's trace, unless it has begun: as a part of its caller's, if the
// headers, which may be nil, name one.
func (r *Record) follow(traces *tracing.Tracing, h http.Header) {
	if traces == nil || r.spans != nil {
		return
	}
	r.spans = traces.Begin(r.method, r.path, h, r.arrived)
	r.trace = r.spans.ID()
}

func isRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// traceOf is the id of the trace that the client has the request in, by the header that the
// W3C defines; empty for none.
func traceOf(h http.Header) string {
	parts := strings.Split(h.Get("Traceparent"), "-")
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" || strings.Trim(parts[1], "0") == "" {
		return ""
	}
	return parts[1]
}

// newRequestID returns a random UUID.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var text [36]byte
	for i, part := range [...]struct{ from, to, at int }{{0, 4, 0}, {4, 6, 9}, {6, 8, 14}, {8, 10, 19}, {10, 16, 24}} {
		if i > 0 {
			text[part.at-1] = '-'
		}
		hex.Encode(text[part.at:], b[part.from:part.to])
	}
	return string(text[:])
}

// warn adds to what the client is told that was passed over.
func (r *Record) warn(text string) {
	if r.warning != "" {
		r.warning += "; "
	}
	r.warning += text
}

// Headers calls set with each header that the answer has, as it begins. Those that add do
// not take the place of a model server's own.
func (r *Record) Headers(set func(name, value string), add func(name, value string)) {
	set(RequestIDHeader, r.id)
	if r.warning != "" {
		set(WarningHeader, r.warning)
	}
	if r.session != "" {
		set(SessionHeader, r.session)
	}
	if r.enqueued.IsZero() {
		return
	}
	set(QueueDurationHeader, strconv.FormatInt(r.waited.Milliseconds(), 10))
	timing := append(make([]byte, 0, 48), "queue;dur="...)
	timing = appendMilliseconds(timing, r.waited)
	if !r.responded.IsZero() {
		timing = append(timing, ", upstream;dur="...)
		timing = appendMilliseconds(timing, r.responded.Sub(r.enqueued)-r.waited)
	}
	add(serverTimingHeader, string(timing))
}

func appendMilliseconds(to []byte, d time.Duration) []byte {
	return strconv.AppendFloat(to, float64(d.Microseconds())/1000, 'f', -1, 64)
}

// noticeable is a wait that was for more than the ledger's answer.
const noticeable = 2 * time.Millisecond

// NothingCame counts a stream that said nothing of its request for too long.
func (g *Gateway) NothingCame(r *Record) { g.overBound(r.pool, errStalled) }

// overBound counts a request for the pool, which may be nil, that went beyond a bound.
func (g *Gateway) overBound(p *Pool, b *bound) {
	if p == nil {
		g.cfg.Metrics.OverBound(b.name)
		return
	}
	p.cfg.Metrics.OverBound(b.name)
}

// count counts a request that is over.
func (g *Gateway) count(r *Record, status int) {
	over := metrics.Request{
		Flow: r.flow, Model: r.model, Arrived: r.arrived, Held: r.held, Tokens: r.tokens, Status: status, Reason: r.reason, Trace: r.spans.Sampled(),
	}
	if r.pool == nil {
		g.cfg.Metrics.Over(&over)
		return
	}
	r.pool.cfg.Metrics.Over(&over)
}

// Begin takes in a request that has just come. Where API keys say whose it is, the trace that
// it says it is a part of counts once its key is known, and not at all for a stranger: it
// decides what is kept.
func (g *Gateway) Begin(r *Record, method, path string, h http.Header) {
	r.begin(method, path, h)
	if !g.Keyed() {
		r.follow(g.cfg.Tracing, h)
	}
}

// Over ends a request's record: with the status of its answer it goes to the metrics and,
// if it is to be logged, to the request log.
func (g *Gateway) Over(r *Record, status int) {
	r.follow(g.cfg.Tracing, nil) // of a stranger
	g.count(r, status)
	if r.spans != nil {
		r.endSpans(status)
	}
	if r.reason != "" {
		g.refused(r)
	}
	if !g.cfg.AccessLog.Wants(r.reason != "") {
		return
	}
	e := accesslog.Entry{
		Arrived: r.arrived, Duration: time.Since(r.arrived), ID: r.id, Trace: r.trace,
		Tenant: r.flow.ID, Priority: r.flow.Priority, Objective: told(r.objective), Model: r.model, Method: r.method, Path: r.path,
		Replica: g.cfg.Replica, Owner: r.owner, Endpoint: r.endpoint,
		Queued: !r.enqueued.IsZero(), Waited: r.waited,
		Counted: r.tokens.Known, TokensIn: r.tokens.In, TokensCached: r.tokens.Cached, TokensOut: r.tokens.Out,
		Charge: r.charge, Status: status, Reason: r.reason,
	}
	if r.waited >= noticeable {
		e.WaitedFor = r.obstacle.String()
	}
	if !r.tokens.First.IsZero() {
		e.FirstToken = r.tokens.First.Sub(r.arrived)
	}
	g.cfg.AccessLog.Add(&e)
}

// refused tells the request's pool that the gateway ended it itself; the only one of a
// request that came to none.
func (g *Gateway) refused(r *Record) {
	p := r.pool
	if p == nil {
		p = g.pools.Load().only
	}
	if p != nil && p.cfg.Refused != nil {
		p.cfg.Refused(r.reason)
	}
}

// endSpans ends the request's trace.
func (r *Record) endSpans(status int) {
	s := tracing.Summary{
		ID: r.id, Path: r.path, Model: r.model, Flow: r.flow.ID, Priority: r.flow.Priority, Objective: told(r.objective), Status: status, Reason: r.reason,
		Enqueued: r.enqueued, Waited: r.waited, Dispatched: r.held > 0, Owner: r.owner, Offered: r.offered, Lined: r.lined, ByFloat: r.byFloat, Charge: r.charge,
		Counted: r.tokens.Known, TokensIn: r.tokens.In, TokensCached: r.tokens.Cached, TokensOut: r.tokens.Out, FirstToken: r.tokens.First,
	}
	if r.waited >= noticeable {
		s.Obstacle = r.obstacle.String()
	}
	r.spans.End(&s)
}
