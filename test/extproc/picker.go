package extproc

import (
	"net"
	"sync"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// Picker is an Endpoint Picker that knows nothing of Weir: a plain server of external
// processing, which records what it gets and says. Its fields are changed by Set.
type Picker struct {
	extproc.UnimplementedExternalProcessorServer
	Address string
	Server  *grpc.Server
	Health  *health.Server // nil for a picker without health checks

	mu sync.Mutex
	// To are the endpoints that it names, one after the other.
	To []string
	// Prefill is the endpoint that it names for reading prompts.
	Prefill string
	// Answers are what it says instead of its own; nil for these.
	Answers func(*extproc.ProcessingRequest) []*extproc.ProcessingResponse
	// Forgets has it record nothing but how many streams it had.
	Forgets bool
	Got     []*extproc.ProcessingRequest
	Said    []*extproc.ProcessingResponse
	Streams int
}

// StartPicker starts a picker with health checks.
func StartPicker(t testing.TB, address string) *Picker {
	t.Helper()
	return startPicker(t, address, health.NewServer())
}

// StartPlainPicker starts a picker that serves external processing alone, and records nothing.
func StartPlainPicker(t testing.TB, to ...string) *Picker {
	t.Helper()
	p := startPicker(t, "127.0.0.1:0", nil)
	p.Set(func(p *Picker) { p.To, p.Forgets = to, true })
	return p
}

func startPicker(t testing.TB, address string, checks *health.Server, options ...grpc.ServerOption) *Picker {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &Picker{Address: l.Addr().String(), Server: grpc.NewServer(options...), Health: checks, Prefill: "10.9.9.9:1"}
	extproc.RegisterExternalProcessorServer(p.Server, p)
	if checks != nil {
		grpc_health_v1.RegisterHealthServer(p.Server, checks)
	}
	go func() { _ = p.Server.Serve(l) }() // ends with Stop
	t.Cleanup(p.Server.Stop)
	return p
}

// Set reads or changes the picker's fields.
func (p *Picker) Set(change func(*Picker)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// Process implements the service.
func (p *Picker) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	p.Set(func(p *Picker) { p.Streams++ })
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // that is how streams end
		}
		for _, a := range p.say(m) {
			if err := stream.Send(a); err != nil {
				return err
			}
		}
	}
}

// say is what the picker says to a message.
func (p *Picker) say(m *extproc.ProcessingRequest) []*extproc.ProcessingResponse {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := p.Answer
	if p.Answers != nil {
		answer = p.Answers
	}
	said := answer(m)
	if !p.Forgets {
		p.Got = append(p.Got, proto.Clone(m).(*extproc.ProcessingRequest))
		p.Said = append(p.Said, said...)
	}
	return said
}

// Answer changes the request and the response, and names the endpoint; what it says has
// more in it than Weir knows of. It is for Answers to fall back on, while that is called.
func (p *Picker) Answer(m *extproc.ProcessingRequest) []*extproc.ProcessingResponse {
	set := func(key, value string) *core.HeaderValueOption {
		return &core.HeaderValueOption{Header: &core.HeaderValue{Key: key, RawValue: []byte(value)}, AppendAction: core.HeaderValueOption_ADD_IF_ABSENT}
	}
	one := &extproc.ProcessingResponse{}
	switch r := m.GetRequest().(type) {
	case *extproc.ProcessingRequest_RequestHeaders:
		to := ""
		if n := len(p.To); n > 0 {
			to = p.To[0]
			p.To = append(p.To[1:n:n], to)
		}
		one.Response = &extproc.ProcessingResponse_RequestHeaders{RequestHeaders: &extproc.HeadersResponse{Response: &extproc.CommonResponse{
			HeaderMutation: &extproc.HeaderMutation{
				SetHeaders:    []*core.HeaderValueOption{set(Destination, to), set("x-prefiller-host-port", p.Prefill), {Header: &core.HeaderValue{Key: "x-old", RawValue: []byte("caf\xe9")}}},
				RemoveHeaders: []string{"x-secret"},
			},
			ClearRouteCache: true,
		}}}
		one.DynamicMetadata = &structpb.Struct{Fields: map[string]*structpb.Value{
			"envoy.lb": structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{Destination: structpb.NewStringValue(to), "scores": structpb.NewNumberValue(0.125)}}),
			"team":     structpb.NewStringValue("own"),
		}}
	case *extproc.ProcessingRequest_RequestBody:
		one.Response = &extproc.ProcessingResponse_RequestBody{RequestBody: streamedBody(r.RequestBody.GetBody(), r.RequestBody.GetEndOfStream())}
	case *extproc.ProcessingRequest_RequestTrailers:
		one.Response = &extproc.ProcessingResponse_RequestTrailers{RequestTrailers: &extproc.TrailersResponse{HeaderMutation: &extproc.HeaderMutation{SetHeaders: []*core.HeaderValueOption{set("x-checked", "yes")}}}}
	case *extproc.ProcessingRequest_ResponseHeaders:
		one.Response = &extproc.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extproc.HeadersResponse{Response: &extproc.CommonResponse{
			HeaderMutation: &extproc.HeaderMutation{SetHeaders: []*core.HeaderValueOption{set("x-went-into-resp-headers", "true")}},
		}}}
	case *extproc.ProcessingRequest_ResponseBody:
		one.Response = &extproc.ProcessingResponse_ResponseBody{ResponseBody: streamedBody(r.ResponseBody.GetBody(), r.ResponseBody.GetEndOfStream())}
	case *extproc.ProcessingRequest_ResponseTrailers:
		one.Response = &extproc.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extproc.TrailersResponse{}}
	}
	return []*extproc.ProcessingResponse{one}
}

func streamedBody(body []byte, last bool) *extproc.BodyResponse {
	return &extproc.BodyResponse{Response: &extproc.CommonResponse{BodyMutation: &extproc.BodyMutation{
		Mutation: &extproc.BodyMutation_StreamedResponse{StreamedResponse: &extproc.StreamedBodyResponse{Body: body, EndOfStream: last}},
	}}}
}
