package envoy_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/gateway/picker"
)

// asks are the headers of a request, with what Envoy says beside them.
func asks(t *testing.T, metadata, attributes map[string]any) *extproc.ProcessingRequest {
	t.Helper()
	all := make(map[string]*structpb.Struct)
	for name, fields := range map[string]map[string]any{"envoy.lb.subset_hint": metadata, "envoy.filters.http.ext_proc": attributes} {
		s, err := structpb.NewStruct(fields)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = s
	}
	return &extproc.ProcessingRequest{
		MetadataContext: &core.Metadata{FilterMetadata: map[string]*structpb.Struct{"envoy.lb.subset_hint": all["envoy.lb.subset_hint"]}},
		Attributes:      map[string]*structpb.Struct{"envoy.filters.http.ext_proc": all["envoy.filters.http.ext_proc"]},
		Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: []*core.HeaderValue{
			{Key: ":method", RawValue: []byte("POST")}, {Key: ":path", RawValue: []byte("/v1/completions")},
		}}}},
	}
}

// TestWhatEnvoySaysIsCounted wants what is kept of Envoy's messages beside headers and bodies to be of the
// budget: lists of endpoints to choose from, and what a picker is to be told. Those of a fleet have room.
func TestWhatEnvoySaysIsCounted(t *testing.T) {
	endpointsOf := func(n int) (list []any) {
		for i := range n {
			list = append(list, "10.0."+strconv.Itoa(i>>8)+"."+strconv.Itoa(i&255)+":8000")
		}
		return list
	}
	commas := strings.Repeat("a,", 1<<20)
	subset := func(v any) map[string]any { return map[string]any{"x-gateway-destination-endpoint-subset": v} }
	pickers, err := picker.New(picker.Config{Addresses: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pickers.Close)
	delegated := envoy.Config{Delegation: &envoy.Delegation{Pickers: pickers, Timeout: 10 * time.Millisecond}}
	for _, c := range []struct {
		what                 string
		cfg                  envoy.Config
		metadata, attributes map[string]any
		parts                int // of one byte each
		refused              bool
	}{
		{what: "10,000 endpoints", metadata: subset(endpointsOf(10_000))},
		{what: "a million endpoints in a text", metadata: subset(commas), refused: true},
		{what: "a million endpoints in a list", metadata: subset([]any{commas[:1<<20], commas[:1<<20]}), refused: true},
		{what: "many attributes, for nobody", attributes: map[string]any{"many": make([]any, 1<<20)}},
		{what: "a few attributes, for a picker", cfg: delegated, attributes: map[string]any{"few": make([]any, 100)}},
		{what: "many attributes, for a picker", cfg: delegated, attributes: map[string]any{"many": make([]any, 1<<20)}, refused: true},
		{what: "a body in many parts, for a picker", cfg: delegated, parts: 200_000, refused: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			p, _ := newProcessor(t, gateway.Config{MemoryBudget: 32 << 20}, c.cfg)
			tape := &rig.Tape{Ctx: t.Context(), Messages: []*extproc.ProcessingRequest{asks(t, c.metadata, c.attributes)}}
			for range c.parts {
				tape.Messages = append(tape.Messages, &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestBody{
					RequestBody: &extproc.HttpBody{Body: []byte(" ")},
				}})
			}
			_ = p.Process(tape) // the tape ends before the request does
			if got := string(tape.Last.GetImmediateResponse().GetBody()); strings.Contains(got, "memory_exhausted") != c.refused {
				t.Errorf("it is answered %q", got)
			}
		})
	}
}
