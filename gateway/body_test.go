package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/internal/rig"
)

// TestRenamingIsBounded wants neither a long name nor a body that names its model many times
// to have the gateway take more memory than the body may have, by HTTP and by Envoy.
func TestRenamingIsBounded(t *testing.T) {
	const most = 128 << 10
	r := rig.With(t, 4, nil, func(c *rig.Config) { c.MaxBody = most }, rig.ModelServer(t))
	many := `{"prompt":"hi"` + strings.Repeat(`,"model":"a"`, 10_000) + `}`
	full := `{"model":"a","prompt":"` + strings.Repeat("x", most-40) + `"}`
	for name, c := range map[string]struct{ model, body, want string }{
		"a long name":         {strings.Repeat("x", 10_000), many, "bad_model_rewrite"},
		"what is no text":     {"\xff", rig.Chat, "bad_model_rewrite"},
		"many models":         {strings.Repeat("x", 512), many, "malformed_json"},
		"beyond the longest":  {strings.Repeat("x", 512), full, "body_too_large"},
		"within all of these": {strings.Repeat("x", 512), rig.Chat, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res, got := r.Post(t, "/v1/completions", c.body, headers.Rewrite[0], c.model)
			if (res.StatusCode == http.StatusOK) != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("%d %.200s, want %s", res.StatusCode, got, c.want)
			}
			stream := &rig.Tape{Ctx: t.Context(), Messages: []*extproc.ProcessingRequest{
				{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: []*core.HeaderValue{
					{Key: ":method", Value: "POST"}, {Key: ":path", Value: "/v1/completions"}, {Key: strings.ToLower(headers.Rewrite[0]), RawValue: []byte(c.model)},
				}}}}},
				{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(c.body), EndOfStream: true}}},
			}}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_ = r.Envoy.Process(stream) // the tape ends before the answer
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 16*most {
				t.Errorf("%d kB were allocated", took>>10)
			}
			if got := string(stream.Last.GetImmediateResponse().GetBody()); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
				t.Errorf("Envoy is answered %.200q, want %s", got, c.want)
			}
		})
	}
	r.NothingHeld(t)
}

// TestModelIsRewritten has a header name the model, by either of its names: the server is asked
// for that one, and gets neither.
func TestModelIsRewritten(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %q", body, r.ContentLength, r.Header.Get(headers.Rewrite[0])+r.Header.Get(headers.Rewrite[1]))
	}))
	t.Cleanup(server.Close)
	r := rig.With(t, 4, nil, func(c *rig.Config) {
		c.Rewrite = func(model string) string { return strings.Replace(model, "alias", "an-adapter", 1) }
	}, server.URL)
	const asked = `{"prompt":"hi","model":"base"}`
	if _, body := r.Post(t, "/v1/completions", `{"model":"alias","prompt":"hi"}`); body != `{"model":"an-adapter","prompt":"hi"} 36 ""` {
		t.Errorf("by a rule: the server got %s", body)
	}
	if _, body := r.Post(t, "/v1/completions", `{"model":"alias","prompt":"hi"}`, headers.Rewrite[0], "base"); body != `{"model":"base","prompt":"hi"} 30 ""` {
		t.Errorf("by a header beside a rule: the server got %s", body)
	}
	if _, body := r.Post(t, "/v1/files", `{"model":"alias"}`); body != `{"model":"alias"} 17 ""` {
		t.Errorf("on a path whose body is not read: the server got %s", body)
	}
	for _, c := range []struct{ path, header, want string }{
		{"/v1/completions", headers.Rewrite[0], `{"prompt":"hi","model":"an-adapter"} 36 ""`},
		{"/v1/completions", headers.Rewrite[1], `{"prompt":"hi","model":"an-adapter"} 36 ""`},
		{"/v1/completions", "X-Other", asked + ` 30 ""`},
		{"/v1/files", headers.Rewrite[0], asked + ` 30 ""`},
	} {
		if _, body := r.Post(t, c.path, asked, c.header, "an-adapter"); body != c.want {
			t.Errorf("%s with %s: the server got %s, want %s", c.path, c.header, body, c.want)
		}
	}
	r.NothingHeld(t)
}
