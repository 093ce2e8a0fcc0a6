package extproc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"
)

// Destination is the header by which the external processor names the endpoint.
const Destination = "x-gateway-destination-endpoint"

// ErrProtocol wraps violations of the protocol by an external processor.
var ErrProtocol = errors.New("the external processor does not keep to the protocol")

// Request is a client's request.
type Request struct {
	Method, Path string
	Headers      map[string]string
	// Body comes in these chunks; nil is a request whose headers end it.
	Body [][]byte
	// EmptyEnd ends the body with a chunk of nothing, Trailers with trailers.
	EmptyEnd, Trailers bool
	// Subset are the endpoints that may be picked.
	Subset []string
}

// Response is what the client gets.
type Response struct {
	Status  int
	Headers map[string]string
	Body    []byte
	// Immediate is set when the external processor answered itself.
	Immediate bool
	// Endpoints are those it named.
	Endpoints []string
}

// Driver is an Envoy with one external processor.
type Driver struct {
	client extproc.ExternalProcessorClient
	http   *http.Client
}

// New returns a driver for the external processor at the other end.
func New(conn grpc.ClientConnInterface) *Driver {
	return &Driver{client: extproc.NewExternalProcessorClient(conn), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}}}
}

// Close closes idle connections to model servers.
func (d *Driver) Close() { d.http.CloseIdleConnections() }

// Do makes a request.
func (d *Driver) Do(ctx context.Context, r Request) (*Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := d.client.Process(ctx)
	if err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	e := &exchange{Driver: d, stream: stream, request: r}
	go func() { // Envoy sends a streamed body on while it waits for answers
		for _, m := range r.messages() {
			if stream.Send(m) != nil {
				return
			}
		}
	}()
	res, err := e.awaitRequest()
	if err != nil || res != nil {
		return res, err
	}
	res, err = e.exchangeResponse(ctx)
	_ = stream.CloseSend()
	return res, err
}

// messages is the request as Envoy sends it.
func (r *Request) messages() (all []*extproc.ProcessingRequest) {
	headers := &core.HeaderMap{}
	set := func(k, v string) {
		headers.Headers = append(headers.Headers, &core.HeaderValue{Key: k, RawValue: []byte(v)})
	}
	set(":method", r.Method)
	set(":path", r.Path)
	set(":scheme", "http")
	for k, v := range r.Headers {
		set(k, v)
	}
	first := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{
		Headers: headers, EndOfStream: r.Body == nil && !r.EmptyEnd && !r.Trailers,
	}}}
	if r.Subset != nil {
		values := make([]*structpb.Value, len(r.Subset))
		for i, s := range r.Subset {
			values[i] = structpb.NewStringValue(s)
		}
		first.MetadataContext = &core.Metadata{FilterMetadata: map[string]*structpb.Struct{"envoy.lb.subset_hint": {Fields: map[string]*structpb.Value{
			"x-gateway-destination-endpoint-subset": structpb.NewListValue(&structpb.ListValue{Values: values}),
		}}}}
	}
	all = append(all, first)
	chunks := r.Body
	if r.EmptyEnd {
		chunks = append(slices.Clip(chunks), nil)
	}
	for i, c := range chunks {
		all = append(all, &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{
			Body: c, EndOfStream: i == len(chunks)-1 && !r.Trailers,
		}}})
	}
	if r.Trailers {
		all = append(all, &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestTrailers{RequestTrailers: &extproc.HttpTrailers{
			Trailers: &core.HeaderMap{Headers: []*core.HeaderValue{{Key: "x-checksum", RawValue: []byte("1")}}},
		}}})
	}
	return all
}

// exchange is a request under way.
type exchange struct {
	*Driver
	stream    extproc.ExternalProcessor_ProcessClient
	request   Request
	body      []byte // as it came back
	endpoints []string
	removed   []string
	set       map[string]string
}

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// awaitRequest takes the answers to the request: headers, then the body to its end,
// then trailers; or an answer for the client.
func (e *exchange) awaitRequest() (*Response, error) {
	withBody := e.request.Body != nil || e.request.EmptyEnd
	for headers, ended := false, false; ; {
		m, err := e.stream.Recv()
		if err != nil {
			return nil, fmt.Errorf("await the request's answer: %w", err)
		}
		if m.GetResponse() == nil && m.GetOverrideMessageTimeout() != nil {
			continue // the answer takes longer
		}
		switch r := m.GetResponse().(type) {
		case *extproc.ProcessingResponse_ImmediateResponse:
			return immediate(r.ImmediateResponse), nil
		case *extproc.ProcessingResponse_RequestHeaders:
			if headers {
				return nil, wrong("request headers twice")
			}
			headers = true
			if err := e.mutate(r.RequestHeaders.GetResponse(), m.GetDynamicMetadata()); err != nil {
				return nil, err
			}
			if !withBody && !e.request.Trailers {
				return nil, nil //nolint:nilnil // no answer for the client yet
			}
		case *extproc.ProcessingResponse_RequestBody:
			body := r.RequestBody.GetResponse().GetBodyMutation().GetStreamedResponse()
			switch {
			case !headers:
				return nil, wrong("a body before the headers")
			case body == nil:
				return nil, wrong("a body that is not streamed")
			case ended:
				return nil, wrong("a body after its end")
			case len(body.GetBody()) > 64<<10:
				return nil, wrong("a chunk of %d bytes", len(body.GetBody()))
			case body.GetEndOfStream() && e.request.Trailers:
				return nil, wrong("the stream ends before its trailers")
			}
			e.body = append(e.body, body.GetBody()...)
			if ended = body.GetEndOfStream(); ended {
				return nil, nil //nolint:nilnil // no answer for the client yet
			}
		case *extproc.ProcessingResponse_RequestTrailers:
			if !headers || !e.request.Trailers {
				return nil, wrong("trailers out of order")
			}
			return nil, nil //nolint:nilnil // no answer for the client yet
		default:
			return nil, wrong("%T while the request is under way", r)
		}
	}
}

// mutate applies what the answer to the headers says.
func (e *exchange) mutate(c *extproc.CommonResponse, metadata *structpb.Struct) error {
	e.set = make(map[string]string)
	for _, h := range c.GetHeaderMutation().GetSetHeaders() {
		e.set[h.GetHeader().GetKey()] = string(h.GetHeader().GetRawValue())
	}
	if to := e.set[Destination]; to != "" {
		e.endpoints = strings.Split(to, ",")
	}
	e.removed = c.GetHeaderMutation().GetRemoveHeaders()
	inMetadata := metadata.GetFields()["envoy.lb"].GetStructValue().GetFields()[Destination].GetStringValue()
	if len(e.endpoints) == 0 || inMetadata != strings.Join(e.endpoints, ",") {
		return wrong("endpoints %v in the header, %q in the metadata", e.endpoints, inMetadata)
	}
	return nil
}

func immediate(r *extproc.ImmediateResponse) *Response {
	res := &Response{Status: int(r.GetStatus().GetCode()), Body: r.GetBody(), Immediate: true, Headers: make(map[string]string)}
	for _, h := range r.GetHeaders().GetSetHeaders() {
		res.Headers[h.GetHeader().GetKey()] = string(h.GetHeader().GetRawValue())
	}
	return res
}

// exchangeResponse sends the request to the first endpoint that takes it, and its
// response through the external processor.
func (e *exchange) exchangeResponse(ctx context.Context) (*Response, error) {
	var upstream *http.Response
	var err error
	served := ""
	for _, served = range e.endpoints {
		var out *http.Request
		if out, err = http.NewRequestWithContext(ctx, e.request.Method, "http://"+served+e.request.Path, bytes.NewReader(e.body)); err != nil {
			return nil, err
		}
		for k, v := range e.request.Headers {
			if !slices.Contains(e.removed, k) {
				out.Header.Set(k, v)
			}
		}
		for k, v := range e.set { // after those that are removed, as Envoy does
			if k != "content-length" {
				out.Header.Set(k, v)
			}
		}
		if upstream, err = e.http.Do(out); err == nil {
			break
		}
	}
	if err != nil {
		return e.unreachable()
	}
	defer upstream.Body.Close() //nolint:errcheck // read to the end
	headers := &core.HeaderMap{Headers: []*core.HeaderValue{{Key: ":status", RawValue: fmt.Append(nil, upstream.StatusCode)}}}
	for k := range upstream.Header {
		headers.Headers = append(headers.Headers, &core.HeaderValue{Key: strings.ToLower(k), RawValue: []byte(upstream.Header.Get(k))})
	}
	m, err := e.ask(&extproc.ProcessingRequest{
		Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{Headers: headers}},
		MetadataContext: &core.Metadata{FilterMetadata: map[string]*structpb.Struct{"envoy.lb": {Fields: map[string]*structpb.Value{
			Destination + "-served": structpb.NewStringValue(served),
		}}}},
	})
	if err != nil {
		return nil, err
	}
	if r := m.GetImmediateResponse(); r != nil {
		return immediate(r), nil
	}
	if m.GetResponseHeaders() == nil {
		return nil, wrong("%T for response headers", m.GetResponse())
	}
	res := &Response{Status: upstream.StatusCode, Endpoints: e.endpoints}
	buf := make([]byte, 4096)
	for ended := false; !ended; {
		n, readErr := upstream.Body.Read(buf)
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return nil, readErr
		}
		ended = readErr != nil
		m, err := e.ask(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{Body: buf[:n], EndOfStream: ended}}})
		if err != nil {
			return nil, err
		}
		body := m.GetResponseBody().GetResponse().GetBodyMutation().GetStreamedResponse()
		if body == nil || body.GetEndOfStream() != ended {
			return nil, wrong("%T for a response body that ends: %v", m.GetResponse(), ended)
		}
		res.Body = append(res.Body, body.GetBody()...)
	}
	if _, err := e.stream.Recv(); !errors.Is(err, io.EOF) {
		return nil, wrong("the stream goes on after the response: %v", err)
	}
	return res, nil
}

// unreachable answers the client itself, since no connection to an endpoint could be made,
// and passes its answer through the external processor.
func (e *exchange) unreachable() (*Response, error) {
	m, err := e.ask(&extproc.ProcessingRequest{
		Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{
			Headers: &core.HeaderMap{Headers: []*core.HeaderValue{{Key: ":status", RawValue: []byte("503")}}}, EndOfStream: true,
		}},
		Attributes: map[string]*structpb.Struct{"envoy.filters.http.ext_proc": {Fields: map[string]*structpb.Value{
			"response.code_details": structpb.NewStringValue("upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_111}"),
		}}},
	})
	if err != nil {
		return nil, err
	}
	if m.GetResponseHeaders() == nil {
		return nil, wrong("%T for response headers", m.GetResponse())
	}
	return &Response{Status: http.StatusServiceUnavailable, Endpoints: e.endpoints}, nil
}

func (e *exchange) ask(m *extproc.ProcessingRequest) (*extproc.ProcessingResponse, error) {
	if err := e.stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("send a part of the response: %w", err)
	}
	answer, err := e.stream.Recv()
	if err != nil {
		return nil, fmt.Errorf("await the answer to a part of the response: %w", err)
	}
	return answer, nil
}
