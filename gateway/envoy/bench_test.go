package envoy_test

import (
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/internal/rig"
)

// BenchmarkChunk is the gateway's own part of a chunk of a streamed answer by external
// processing.
func BenchmarkChunk(b *testing.B) {
	processor, _ := newProcessor(b, gateway.Config{}, envoy.Config{}, controller.WithLimit(10))
	headers := func(pairs ...string) *extproc.HttpHeaders {
		h := &core.HeaderMap{}
		for i := 0; i < len(pairs); i += 2 {
			h.Headers = append(h.Headers, &core.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
		}
		return &extproc.HttpHeaders{Headers: h}
	}
	chunk := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{
		Body: []byte(`data: {"id":"cmpl-1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"word "}}]}` + "\n\n"),
	}}}
	tape := &rig.Tape{Ctx: b.Context(), Messages: []*extproc.ProcessingRequest{
		{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: headers(":method", "POST", ":path", "/v1/completions")}},
		{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(rig.Chat), EndOfStream: true}}},
		{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: headers(":status", "200", "content-type", "text/event-stream")}},
	}}
	for range b.N {
		tape.Messages = append(tape.Messages, chunk)
	}
	b.ReportAllocs()
	if err := processor.Process(tape); err != nil || tape.Last.GetResponseBody() == nil {
		b.Fatalf("%v, %v", err, tape.Last)
	}
}
