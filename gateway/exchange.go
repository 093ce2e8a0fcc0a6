package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/endpoints"
)

// phase is how far an exchange has come.
type phase int

const (
	awaitingRequest phase = iota
	receivingRequest
	awaitingResponse
	receivingResponse
	done
)

// String says what the exchange is doing.
func (p phase) String() string {
	return [...]string{"awaiting a request", "receiving a request", "awaiting the response", "receiving the response", "done"}[p]
}

// exchange is one request and its response, as Envoy tells of them. It is used from
// one goroutine, but for the end of ctx.
//
//	request headers, body … ──> decide: wait, pick ──> headers, body …, trailers
//	response headers, body … ──> usage ──> the same, as it comes
type exchange struct {
	gateway *Gateway
	stream  extproc.ExternalProcessor_ProcessServer
	ctx     context.Context //nolint:containedctx // the exchange's life
	end     context.CancelCauseFunc
	phase   phase
	over    bool

	header    http.Header
	method    string
	path      string
	subset    map[string]bool // of endpoints that may be picked; nil for all
	in        inbound
	request   *controller.Request
	entry     *flowEntry
	slot      *endpoints.Slot
	others    []*endpoints.Endpoint // named to turn to
	unreached string                // why no connection to one came about; empty if one did
	usage     *usageReader
	status    int
	begun     atomic.Bool // its response has
	stalls    *time.Timer // while the request's body comes
}

// take takes in one message and answers it.
func (x *exchange) take(m *extproc.ProcessingRequest) error {
	switch r := m.GetRequest().(type) {
	case *extproc.ProcessingRequest_RequestHeaders:
		if x.phase != awaitingRequest {
			return unexpected("request headers", x.phase)
		}
		x.phase = receivingRequest
		if err := x.readHeaders(r.RequestHeaders.GetHeaders()); err != nil {
			return err
		}
		x.subset = subsetOf(m)
		x.stalls = time.AfterFunc(x.gateway.cfg.BodyTimeout, func() { x.end(errStalled) })
		if r.RequestHeaders.GetEndOfStream() {
			return x.forward(false, false)
		}
		return nil
	case *extproc.ProcessingRequest_RequestBody:
		if x.phase != receivingRequest {
			return unexpected("a request body", x.phase)
		}
		if int64(len(x.in.body)+len(r.RequestBody.GetBody())) > x.gateway.cfg.MaxBody {
			return tooLarge(x.gateway.cfg.MaxBody)
		}
		x.in.body = append(x.in.body, r.RequestBody.GetBody()...)
		if r.RequestBody.GetEndOfStream() {
			return x.forward(true, false)
		}
		return nil
	case *extproc.ProcessingRequest_RequestTrailers:
		if x.phase != receivingRequest {
			return unexpected("request trailers", x.phase)
		}
		return x.forward(true, true)
	case *extproc.ProcessingRequest_ResponseHeaders:
		if x.phase != awaitingResponse {
			return unexpected("response headers", x.phase)
		}
		x.served(m)
		return x.respond(r.ResponseHeaders)
	case *extproc.ProcessingRequest_ResponseBody:
		if x.phase != receivingResponse {
			return unexpected("a response body", x.phase)
		}
		x.usage.take(r.ResponseBody.GetBody())
		return x.send(responseBody(r.ResponseBody.GetBody(), r.ResponseBody.GetEndOfStream()), r.ResponseBody.GetEndOfStream())
	case *extproc.ProcessingRequest_ResponseTrailers:
		if x.phase != receivingResponse {
			return unexpected("response trailers", x.phase)
		}
		return x.send(responseTrailers(), true)
	}
	return unexpected("a message of no kind", x.phase)
}

// Bounds on headers, which are kept while a request waits.
const (
	maxHeaders     = 1000
	maxHeaderBytes = 64 << 10
)

func (x *exchange) readHeaders(headers *core.HeaderMap) error {
	if len(headers.GetHeaders()) > maxHeaders {
		return headersTooLarge(fmt.Sprintf("the request has %d headers, %d are allowed", len(headers.GetHeaders()), maxHeaders))
	}
	x.header = make(http.Header, len(headers.GetHeaders()))
	size := 0
	for _, h := range headers.GetHeaders() {
		value := valueOf(h)
		if size += len(h.GetKey()) + len(value); size > maxHeaderBytes {
			return headersTooLarge(fmt.Sprintf("the request's headers are larger than %d bytes", maxHeaderBytes))
		}
		switch h.GetKey() {
		case ":method":
			x.method = value
		case ":path":
			x.path, _, _ = strings.Cut(value, "?")
		default:
			x.header.Add(h.GetKey(), value)
		}
	}
	return nil
}

// valueOf is a header's value, in whichever of the two fields Envoy puts it.
func valueOf(h *core.HeaderValue) string {
	if raw := h.GetRawValue(); len(raw) > 0 {
		return string(raw)
	}
	return h.GetValue()
}

func headersTooLarge(message string) *refusal {
	return &refusal{status: http.StatusRequestHeaderFieldsTooLarge, code: "headers_too_large", message: message}
}

// forward waits the request's turn, picks its endpoint and lets it go.
func (x *exchange) forward(body, trailers bool) error {
	if !x.stalls.Stop() {
		return ended(x.ctx)
	}
	x.in.inputTokens, x.in.outputTokens = 1, 1
	if refused := x.in.check(x.method, x.path); refused != nil {
		return refused
	}
	g := x.gateway
	request, refused := g.admit(x.header, &x.in)
	if refused != nil {
		return refused
	}
	if outcome, err := g.cfg.Controller.EnqueueAndWait(x.ctx, request); err != nil {
		return refusalOf(outcome)
	}
	x.request, x.entry = request, g.flows.begin(request.Flow)
	if x.slot, x.others = g.place(request, &x.in, &endpoints.Query{Subset: x.subset}); x.slot == nil {
		return refusalOf(controller.EvictedNoEndpoints)
	}
	x.watchRevocation()
	x.phase = awaitingResponse
	destinations := append([]*endpoints.Endpoint{x.slot.Endpoint}, x.others...)
	if err := x.stream.Send(requestHeaders(destinations, g.tenants.Load().Keys != nil)); err != nil {
		return err
	}
	if !body {
		return nil
	}
	for _, m := range requestBody(x.in.body, trailers) {
		if err := x.stream.Send(m); err != nil {
			return err
		}
	}
	x.in.body = nil // Envoy has it
	if trailers {
		return x.stream.Send(requestTrailers())
	}
	return nil
}

// watchRevocation ends the stream when the request is revoked. Envoy resets the
// request then, and its client sees the end of it.
func (x *exchange) watchRevocation() {
	revoked := x.request.Revoked()
	if revoked == nil {
		return
	}
	go func() { // ends with ctx
		select {
		case <-revoked:
			x.gateway.cfg.Metrics.revoked(x.begun.Load())
			x.end(errRevoked)
		case <-x.ctx.Done():
		}
	}()
}

// served takes in which endpoint answered, if Envoy says so, and whether none could be
// reached. Those named before the one that answered count as not reached: at worst a
// probe brings one back soon.
func (x *exchange) served(m *extproc.ProcessingRequest) {
	x.unreached = connectionFailure(m)
	address := servedBy(m)
	if address == "" || address == x.slot.Address() {
		return
	}
	i := slices.IndexFunc(x.others, func(e *endpoints.Endpoint) bool { return e.Address() == address })
	if i < 0 {
		return
	}
	x.gateway.cfg.Metrics.fellBack()
	turned := fmt.Errorf("envoy turned to %s", address)
	first := x.slot
	x.slot = first.Move(x.others[i])
	x.gateway.cfg.Controller.Place(x.request, address)
	first.Unreachable(turned)
	for _, e := range x.others[:i] {
		e.Unreachable(turned)
	}
}

// respond takes in the response's headers.
func (x *exchange) respond(h *extproc.HttpHeaders) error {
	x.phase = receivingResponse
	x.begun.Store(true)
	contentType := ""
	for _, header := range h.GetHeaders().GetHeaders() {
		switch header.GetKey() {
		case ":status":
			_, _ = fmt.Sscan(valueOf(header), &x.status)
		case "content-type":
			contentType = valueOf(header)
		}
	}
	if x.unreached == "" {
		x.slot.Answered()
	} else {
		x.slot.Unreachable(errors.New(x.unreached))
	}
	x.usage = newUsageReader(nil, contentType, &x.in, func(u controller.Usage) { x.gateway.cfg.Controller.Progress(x.request, u) })
	return x.send(responseHeaders(), h.GetEndOfStream())
}

// send answers a part of the response; the last one ends the exchange.
func (x *exchange) send(m *extproc.ProcessingResponse, last bool) error {
	if last {
		x.phase, x.over = done, true
		x.answered(x.status)
	}
	return x.stream.Send(m)
}

func (x *exchange) answered(code int) { x.gateway.cfg.Metrics.answered(code) }

// finish gives back what the exchange holds, however it ended.
func (x *exchange) finish() {
	if x.stalls != nil {
		x.stalls.Stop()
	}
	if x.slot != nil {
		x.slot.Return()
	}
	if x.request == nil {
		return
	}
	usage := controller.Usage{}
	if x.usage != nil {
		x.usage.finish()
		usage = x.usage.usage
	}
	x.entry.end(usage)
	x.gateway.cfg.Controller.Release(x.request, usage)
}
