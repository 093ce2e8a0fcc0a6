package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/proxy"
	"github.com/weirflow/weir/store/memory"
)

// pooled is a gateway before two pools, each with the models that its name begins, and a
// server that answers with the pool's name.
type pooled struct {
	url     string
	envoy   *envoy.Processor
	figures *metrics.Process
	counts  map[string]*metrics.Pool
}

func newPools(t *testing.T, byEnvoy envoy.Config) *pooled {
	t.Helper()
	r := &pooled{figures: metrics.NewProcess(nil), counts: make(map[string]*metrics.Pool)}
	pools := make(map[string]*gateway.Pool)
	for _, name := range []string{"llama", "qwen"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, name)
		}))
		t.Cleanup(server.Close)
		r.counts[name] = metrics.NewPool(name)
		c, err := controller.NewController(memory.New(memory.Config{}), controller.WithLimit(4), controller.WithObserver(r.counts[name]))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		source, err := endpoints.NewStatic(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		pools[name] = gateway.NewPool(gateway.PoolConfig{Controller: c, Endpoints: endpoints.Config{Source: source}, Metrics: r.counts[name]})
		t.Cleanup(pools[name].Close)
	}
	of := func(model string) (string, bool) {
		pool, _, _ := strings.Cut(model, "-")
		return pool, pools[pool] != nil
	}
	g := gateway.New(gateway.Config{Metrics: r.figures}, gateway.ByModel(pools, of, []string{"qwen-2", "llama-3"}))
	r.envoy = envoy.New(g, byEnvoy)
	byHTTP := proxy.New(g, proxy.Config{})
	t.Cleanup(byHTTP.Close)
	server := httptest.NewServer(byHTTP)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// TestPoolByModel wants each request to go to the pool of its model, whichever kind of body
// names it, and an unknown model to be answered as OpenAI answers.
func TestPoolByModel(t *testing.T) {
	r := newPools(t, envoy.Config{})
	form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nqwen-2\r\n--b--\r\n"
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/v1/completions", `{"prompt":"hi","model":"llama-3"}`, 200, "llama"},
		{"/v1/chat/completions", `{"model":"qwen-2","messages":[]}`, 200, "qwen"},
		{"/v1/completions", `{"model":"llama-3","prompt":"hi","model":"qwen-2"}`, 200, "qwen"}, // as servers read it
		{"/v1/rerank", ` {"model":"qwen-2","query":"q"}`, 200, "qwen"},
		{"/v1/audio/transcriptions", form, 200, "qwen"},
		{"/v1/completions", `{"model":"secret","prompt":"hi"}`, 404, `"code":"model_not_found"`},
		{"/v1/completions", `{"prompt":"hi"}`, 400, `"code":"model_required"`},
		{"/v1/rerank", `{"query":"q"}`, 400, `"code":"model_required"`},
		{"/v1/rerank", `--`, 400, `"code":"model_required"`},
		{"/v1/completions", `{`, 400, `"code":"malformed_json"`},
	} {
		res, err := http.Post(r.url+c.path, "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%s %s: %d %s, want %d %s", c.path, c.body, res.StatusCode, body, c.status, c.want)
		}
		if c.status != 200 && (strings.Contains(string(body), "llama") || strings.Contains(string(body), "qwen")) {
			t.Errorf("an answer tells of other models: %s", body)
		}
	}
	for m, want := range map[prometheus.Collector]float64{r.figures: 5, r.counts["llama"]: 1, r.counts["qwen"]: 4} {
		if all := figure(t, m, "weir_http_requests_total"); all != want {
			t.Errorf("%v requests are counted, want %v", all, want)
		}
	}
}

// TestModels wants the models of all pools to be listed.
func TestModels(t *testing.T) {
	r := newPools(t, envoy.Config{})
	get := func(path string, into any) int {
		t.Helper()
		res, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // it was only read
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	var all struct {
		Object string
		Data   []gateway.Model
	}
	if code := get("/v1/models", &all); code != 200 || all.Object != "list" || len(all.Data) != 2 || all.Data[0].ID != "llama-3" || all.Data[1].ID != "qwen-2" || all.Data[0].Object != "model" {
		t.Errorf("%d %+v", code, all)
	}
	var one gateway.Model
	if code := get("/v1/models/qwen-2", &one); code != 200 || one.ID != "qwen-2" {
		t.Errorf("%d %+v", code, one)
	}
	var failed struct{ Error struct{ Code string } }
	if code := get("/v1/models/gpt", &failed); code != 404 || failed.Error.Code != "model_not_found" {
		t.Errorf("%d %+v", code, failed)
	}
}

// TestModelsByEnvoy wants a question for the models to be answered also where Envoy asks, unless
// it names a pool, whose servers know better.
func TestModelsByEnvoy(t *testing.T) {
	r := newPools(t, envoy.Config{PoolHeader: "x-pool"})
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
		stream := &tape{ctx: t.Context(), messages: []*extproc.ProcessingRequest{{Request: &extproc.ProcessingRequest_RequestHeaders{
			RequestHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: headers}, EndOfStream: true},
		}}}}
		if err := r.envoy.Process(stream); err != nil {
			t.Fatal(err)
		}
		at := stream.last.GetImmediateResponse()
		if int(at.GetStatus().GetCode()) != c.status || !strings.Contains(string(at.GetBody()), c.want) {
			t.Errorf("%s %s, pool %q: %v %s, want %d %s", c.method, c.path, c.pool, at.GetStatus(), at.GetBody(), c.status, c.want)
		}
		if set := fmt.Sprint(at.GetHeaders().GetSetHeaders()); c.status != 0 && (!strings.Contains(set, "content-type") || !strings.Contains(set, "x-request-id")) {
			t.Errorf("%s %s: the answer has the headers %s", c.method, c.path, set)
		}
	}
	if n := figure(t, r.figures, "weir_http_requests_total", "code", "200"); n != 3 {
		t.Errorf("%v answers of 200 are counted, want 3", n)
	}
	if n := figure(t, r.counts["qwen"], "weir_flow_control_requests_total", "outcome", "Dispatched"); n != 1 {
		t.Errorf("%v requests went to the pool that Envoy named, want 1", n)
	}
}

// TestPoolByEnvoy wants a request to go to the pool that Envoy names, by a header or else by an
// attribute, and to that of its model where it names none.
func TestPoolByEnvoy(t *testing.T) {
	r := newPools(t, envoy.Config{PoolHeader: "X-Pool", PoolAttribute: "xds.route_name"})
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
		stream := &tape{ctx: t.Context(), messages: []*extproc.ProcessingRequest{first, {Request: &extproc.ProcessingRequest_RequestBody{
			RequestBody: &extproc.HttpBody{Body: []byte(`{"model":"` + c.model + `","prompt":"hi"}`), EndOfStream: true},
		}}}}
		_ = r.envoy.Process(stream) // the tape ends before the answer
		got := ""
		if stream.last.GetImmediateResponse() != nil {
			got = string(stream.last.GetImmediateResponse().GetBody())
		}
		for name, counts := range r.counts {
			n := figure(t, counts, "weir_flow_control_requests_total", "outcome", "Dispatched")
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
