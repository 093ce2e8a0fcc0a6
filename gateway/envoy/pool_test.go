package envoy_test

import (
	"fmt"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/internal/rig"
)

// TestModelsByEnvoy wants a question for the models to be answered also where Envoy asks, unless
// it names a pool, whose servers know better.
func TestModelsByEnvoy(t *testing.T) {
	r := rig.NewPools(t, envoy.Config{PoolHeader: "x-pool"})
	for _, c := range []struct {
		method, path, pool string
		status             int
		want               string
	}{
		{"GET", "/v1/models?limit=2", "", 200, `"data":[{"id":"llama-3","object":"model",`},
		{"HEAD", "/v1/models", "", 200, `"llama-3"`},
		{"GET", "/v1/models/qwen%2D2", "", 200, `{"id":"qwen-2","object":"model",`},
		{"GET", "/v1/models/gpt", "", 404, "model_not_found"},
		{"POST", "/v1/models", "", 400, "model_required"},
		{"GET", "/v1/models", "qwen", 0, ""},
	} {
		headers := []*core.HeaderValue{{Key: ":method", Value: c.method}, {Key: ":path", Value: c.path}, {Key: "x-pool", Value: c.pool}}
		stream := &rig.Tape{Ctx: t.Context(), Messages: []*extproc.ProcessingRequest{{Request: &extproc.ProcessingRequest_RequestHeaders{
			RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: headers}, EndOfStream: true},
		}}}}
		if err := r.Envoy.Process(stream); err != nil {
			t.Fatal(err)
		}
		at := stream.Last.GetImmediateResponse()
		if int(at.GetStatus().GetCode()) != c.status || !strings.Contains(string(at.GetBody()), c.want) {
			t.Errorf("%s %s, pool %q: %v %s, want %d %s", c.method, c.path, c.pool, at.GetStatus(), at.GetBody(), c.status, c.want)
		}
		if set := fmt.Sprint(at.GetHeaders().GetSetHeaders()); c.status != 0 && (!strings.Contains(set, "content-type") || !strings.Contains(set, "x-request-id")) {
			t.Errorf("%s %s: the answer has the headers %s", c.method, c.path, set)
		}
	}
	if n := rig.Figure(t, r.Figures, "weir_http_requests_total", "code", "200"); n != 3 {
		t.Errorf("%v answers of 200 are counted, want 3", n)
	}
	if n := rig.Figure(t, r.Counts["qwen"], "weir_flow_control_requests_total", "outcome", "Dispatched"); n != 1 {
		t.Errorf("%v requests went to the pool that Envoy named, want 1", n)
	}
}

// TestPoolByEnvoy wants a request to go to the pool that Envoy names, by a header or else by an
// attribute, and to that of its model where it names none.
func TestPoolByEnvoy(t *testing.T) {
	r := rig.NewPools(t, envoy.Config{PoolHeader: "X-Pool", PoolAttribute: "xds.route_name"})
	dispatched := make(map[string]float64)
	for _, c := range []struct{ header, attribute, model, want string }{
		{"", "", "llama-3", "llama"},
		{"qwen", "", "llama-3", "qwen"},
		{"qwen", "llama", "llama-3", "qwen"},
		{"", "qwen", "llama-3", "qwen"},
		{"", "qwen", "unknown", "qwen"},
		{"", "", "unknown", "model_not_found"},
		{"phi", "", "llama-3", "pool_not_found"},
	} {
		headers := []*core.HeaderValue{{Key: ":method", RawValue: []byte("POST")}, {Key: ":path", RawValue: []byte("/v1/completions")}}
		if c.header != "" {
			headers = append(headers, &core.HeaderValue{Key: "x-pool", RawValue: []byte("forged")}, &core.HeaderValue{Key: "x-pool", RawValue: []byte(c.header)})
		}
		first := &extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: headers}}}}
		if c.attribute != "" {
			attributes, err := structpb.NewStruct(map[string]any{"xds.route_name": c.attribute})
			if err != nil {
				t.Fatal(err)
			}
			first.Attributes = map[string]*structpb.Struct{"envoy.filters.http.ext_proc": attributes}
		}
		stream := &rig.Tape{Ctx: t.Context(), Messages: []*extproc.ProcessingRequest{first, {Request: &extproc.ProcessingRequest_RequestBody{
			RequestBody: &extproc.HttpBody{Body: []byte(`{"model":"` + c.model + `","prompt":"hi"}`), EndOfStream: true},
		}}}}
		_ = r.Envoy.Process(stream) // the tape ends before the answer
		got := ""
		if stream.Last.GetImmediateResponse() != nil {
			got = string(stream.Last.GetImmediateResponse().GetBody())
		}
		for name, counts := range r.Counts {
			n := rig.Figure(t, counts, "weir_flow_control_requests_total", "outcome", "Dispatched")
			if n > dispatched[name] {
				got += name
			}
			dispatched[name] = n
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("header %q, attribute %q, model %s: %s, want %s", c.header, c.attribute, c.model, got, c.want)
		}
	}
}
