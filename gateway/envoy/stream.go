package envoy

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/modelapi"
	"github.com/weirflow/weir/gateway/refusal"
)

// phase is how far a stream has come.
type phase int

const (
	awaitingRequest phase = iota
	receivingRequest
	waiting
	awaitingResponse
	receivingResponse
	done
)

// String says what the stream is doing.
func (p phase) String() string {
	return [...]string{"awaiting a request", "receiving a request", "waiting", "awaiting the response", "receiving the response", "done"}[p]
}

// stream drives a session by the messages that Envoy sends about one request and its
// response, one message at a time.
//
//	request headers, body … ──> decide: wait, pick ──> headers, body …, trailers
//	response headers, body … ──> usage ──> the same, as it comes
type stream struct {
	gateway *gateway.Gateway
	cfg     *Config
	stream  extproc.ExternalProcessor_ProcessServer
	opened  chan struct{} // closed once there is a session

	mu      sync.Mutex // of what follows
	record  gateway.Record
	session *gateway.Session // nil until the request's headers came
	phase   phase
	over    bool
	part    *extproc.ProcessingResponse // of the response's body, as last sent; used again

	method    string
	path      string
	subset    map[string]bool       // of endpoints that may be picked; nil for all
	delegated *delegated            // nil where this replica chooses
	body      bool                  // the request has one
	trailers  bool                  // it has trailers
	others    []*endpoints.Endpoint // fallbacks that were named to Envoy
	unreached string                // why no endpoint could be connected to; empty if one could
	status    int
	answer    *modelapi.Answer // once it has begun
	stalls    *time.Timer      // while the request's body comes
}

// take handles one message and answers it.
func (x *stream) take(m *extproc.ProcessingRequest) error {
	switch r := m.GetRequest().(type) {
	case *extproc.ProcessingRequest_RequestHeaders:
		if x.phase != awaitingRequest {
			return unexpected("request headers", x.phase)
		}
		x.phase = receivingRequest
		if err := x.open(r.RequestHeaders.GetHeaders()); err != nil {
			return err
		}
		if name := poolOf(m, x.cfg); name != "" && x.session.Pool() == nil {
			if refused := x.session.EnterNamed(name); refused != nil {
				return refused
			}
		}
		if refused := x.within(m); refused != nil {
			return refused
		}
		x.stalls = time.AfterFunc(x.cfg.BodyTimeout, x.session.Watch.BodyStalled)
		if refused := x.keep(m); refused != nil {
			return refused
		}
		return x.came(r.RequestHeaders.GetEndOfStream())
	case *extproc.ProcessingRequest_RequestBody:
		if x.phase != receivingRequest {
			return unexpected("a request body", x.phase)
		}
		if err := x.session.Body.Add(r.RequestBody.GetBody()); err != nil {
			return err
		}
		x.body = true
		if refused := x.keep(m); refused != nil {
			return refused
		}
		return x.came(r.RequestBody.GetEndOfStream())
	case *extproc.ProcessingRequest_RequestTrailers:
		if x.phase != receivingRequest {
			return unexpected("request trailers", x.phase)
		}
		x.body, x.trailers = true, true
		if refused := x.keep(m); refused != nil {
			return refused
		}
		return x.came(true)
	case *extproc.ProcessingRequest_ResponseHeaders:
		if x.phase != awaitingResponse {
			return unexpected("response headers", x.phase)
		}
		x.served(m)
		x.responded(r.ResponseHeaders)
		return x.send(responseHeaders(&x.record), r.ResponseHeaders.GetEndOfStream())
	case *extproc.ProcessingRequest_ResponseBody:
		if x.phase != receivingResponse {
			return unexpected("a response body", x.phase)
		}
		x.streamed(r.ResponseBody.GetBody())
		return x.pass(r.ResponseBody)
	case *extproc.ProcessingRequest_ResponseTrailers:
		if x.phase != receivingResponse {
			return unexpected("response trailers", x.phase)
		}
		return x.send(responseTrailers(), true)
	}
	return unexpected("a message of no kind", x.phase)
}

// open begins the session of a request with the headers.
func (x *stream) open(came *core.HeaderMap) error {
	lines := linesOf(came)
	memory, refused := x.gateway.HeaderMemory(lines) // before there is a table of them
	if refused != nil {
		return refused
	}
	header := make(http.Header, len(came.GetHeaders()))
	for name, value := range lines {
		switch name {
		case ":method":
			x.method = value
		case ":path":
			x.path, _, _ = strings.Cut(value, "?")
		default:
			header.Add(name, value)
		}
	}
	x.gateway.Begin(&x.record, x.method, x.path, header)
	if x.path != "" {
		if x.path, refused = gateway.ReadPath(x.path); refused != nil {
			return refused
		}
	}
	s, refused := x.gateway.Open(x.stream.Context(), header, memory, &x.record)
	if refused != nil {
		return refused
	}
	if x.cfg.Delegation != nil || x.cfg.AdmissionOnly {
		s.ChosenElsewhere()
	}
	x.session = s
	close(x.opened)
	return nil
}

// linesOf are the names and values of headers as Envoy sends them.
func linesOf(came *core.HeaderMap) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, h := range came.GetHeaders() {
			if !yield(h.GetKey(), valueOf(h)) {
				return
			}
		}
	}
}

// valueOf is a header's value, in whichever of the two fields Envoy puts it.
func valueOf(h *core.HeaderValue) string {
	if raw := h.GetRawValue(); len(raw) > 0 {
		return string(raw)
	}
	return h.GetValue()
}

// came takes a request of which all is there as far as its wait. A question for the models is
// answered at once, where Envoy names no pool.
func (x *stream) came(whole bool) error {
	if !whole {
		return nil
	}
	s := x.session
	if !x.stalls.Stop() {
		return s.Ended()
	}
	if s.Pool() == nil {
		if models, asked, refused := x.gateway.AnswerModels(x.method, x.path); refused != nil {
			return refused
		} else if asked {
			x.phase, x.over, x.status = done, true, http.StatusOK
			return x.stream.Send(immediately(&x.record, x.status, http.Header{"Content-Type": {"application/json"}}, models, "models"))
		}
	}
	if refused := s.Admit(x.method, x.path); refused != nil {
		return refused
	}
	s.Placement.Within(x.subset, x.cfg.Fallbacks)
	if x.delegated == nil && !x.cfg.AdmissionOnly {
		s.Placement.Prefer()
	}
	x.phase = waiting
	return nil
}

// forward lets the request that has waited go, unless it was refused.
func (x *stream) forward(refused *refusal.Refusal) error {
	switch {
	case refused != nil:
		return refused
	case x.delegated != nil:
		return x.relay()
	case x.cfg.AdmissionOnly:
		return x.release(letThrough(x.gateway.Keyed()))
	}
	return x.pick()
}

// pick chooses the request's endpoint and lets it go there.
func (x *stream) pick() error {
	s := x.session
	var ok bool
	if x.others, ok = s.Placement.Take(); !ok {
		return gateway.NoEndpoints()
	}
	_, to := s.Placement.Destination()
	destinations := []string{to}
	for _, e := range x.others {
		destinations = append(destinations, e.Address())
	}
	headers := requestHeaders(x.record.ID(), destinations, x.gateway.Keyed())
	s.Placement.Route(func(name, value string) { setHeader(headers, name, value) })
	if refused := s.ChosenHere(x.method, x.path); refused != nil { // if a picker failed
		return refused
	}
	if s.Body.Renamed() && x.body && !x.trailers {
		setHeader(headers, "content-length", strconv.Itoa(len(s.Body.Bytes())))
	}
	return x.release(headers)
}

// release lets the request go with what Envoy is to do with its headers.
func (x *stream) release(headers *extproc.ProcessingResponse) error {
	s := x.session
	x.phase = awaitingResponse
	x.record.Upstream(func(name, value string) { setHeader(headers, name, value) })
	s.Watch.ExpectFirstByte()
	if err := x.stream.Send(headers); err != nil {
		return err
	}
	if !x.body {
		return nil
	}
	for _, m := range requestBody(s.Body.Bytes(), x.trailers) {
		if err := x.stream.Send(m); err != nil {
			return err
		}
	}
	s.Body.Drop() // Envoy has it
	if x.trailers {
		return x.stream.Send(requestTrailers())
	}
	return nil
}

// served notes which endpoint answered, if Envoy says so, and whether none could be
// reached. Those named before the one that answered count as unreachable: if one is not, a
// probe brings it back soon.
func (x *stream) served(m *extproc.ProcessingRequest) {
	x.unreached = connectionFailure(m)
	address := servedBy(m)
	if x.session.Placement.Slot() == nil {
		if e := x.session.Pool().Endpoints().At(address); e != nil {
			x.session.Placement.TakeAt(e)
		}
		return
	}
	if address == "" || address == x.session.Placement.Slot().Address() {
		return
	}
	i := slices.IndexFunc(x.others, func(e *endpoints.Endpoint) bool { return e.Address() == address })
	if i < 0 {
		return
	}
	turned := fmt.Errorf("envoy turned to %s", address)
	x.session.Placement.Moved(x.others[i], turned)
	for _, e := range x.others[:i] {
		e.Unreachable(turned)
	}
}

// responded takes in the response's headers.
func (x *stream) responded(h *extproc.HttpHeaders) {
	x.phase = receivingResponse
	x.session.Answer.Begun()
	contentType := ""
	for _, header := range h.GetHeaders().GetHeaders() {
		switch header.GetKey() {
		case ":status":
			x.status, _ = strconv.Atoi(valueOf(header)) // 0 for what is none
		case "content-type":
			contentType = valueOf(header)
		}
	}
	if x.unreached != "" {
		x.session.Placement.Unreached(errors.New(x.unreached))
	}
	x.answer = x.session.Respond(x.status, contentType, nil)
}

// streamed takes in a part of the response's body.
func (x *stream) streamed(part []byte) {
	x.answer.Take(part)
	x.session.Watch.ExpectMoreOrTaken()
}

// pass answers a part of the response's body with itself.
func (x *stream) pass(b *extproc.HttpBody) error {
	if x.part == nil {
		x.part = &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseBody{ResponseBody: streamed(nil, false)}}
	}
	part := x.part.GetResponseBody().GetResponse().GetBodyMutation().GetStreamedResponse()
	part.Body, part.EndOfStream = b.GetBody(), b.GetEndOfStream()
	return x.send(x.part, b.GetEndOfStream())
}

// send answers a part of the response; the last one ends the stream.
func (x *stream) send(m *extproc.ProcessingResponse, last bool) error {
	if last {
		x.phase, x.over = done, true
		x.session.Answer.Whole()
	}
	return x.stream.Send(m)
}

// finish ends the session, however the stream ended. Envoy ends one whose client is gone.
func (x *stream) finish() {
	if x.stalls != nil {
		x.stalls.Stop()
	}
	if x.delegated != nil {
		x.delegated.claim.End()
	}
	if x.session != nil {
		x.session.End()
	}
	if x.record.Arrived().IsZero() {
		return // there was no request
	}
	if x.phase != done && !x.record.Refused() {
		x.record.Refuse(gateway.ClientGone().Code)
	}
	if x.status == 0 {
		x.status = refusal.StatusClientGone
	}
	x.gateway.Over(&x.record, x.status)
}
