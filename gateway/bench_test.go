package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/store/memory"
)

// BenchmarkProxy measures what the gateway adds to a request of 4 kB, going to
// the server direct and through the gateway in turns.
func BenchmarkProxy(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":1,"completion_tokens":1}}`)
	}))
	b.Cleanup(upstream.Close)
	r := newRig(b, 100, upstream.URL)
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 4000) + `"}]}`
	ask := func(url string) time.Duration {
		began := time.Now()
		res, err := r.client.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return time.Since(began)
	}
	var direct, through []time.Duration
	for range b.N {
		direct = append(direct, ask(upstream.URL))
		through = append(through, ask(r.url))
	}
	slices.Sort(direct)
	slices.Sort(through)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(direct[len(direct)/2]), "direct-p50-ms")
	b.ReportMetric(ms(through[len(through)/2]), "through-p50-ms")
	b.ReportMetric(ms(through[len(through)/2]-direct[len(direct)/2]), "added-p50-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkChunk is the gateway's own part of a chunk of a streamed answer by external
// processing.
func BenchmarkChunk(b *testing.B) {
	c, err := controller.NewController(memory.New(memory.Config{}), controller.WithLimit(10))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	p := gateway.NewPool(gateway.PoolConfig{Controller: c, Endpoints: endpoints.Config{Source: endpoints.Static{endpoints.At("", "http", "127.0.0.1", "1")}}})
	defer p.Close()
	processor := envoy.New(gateway.New(gateway.Config{}, gateway.Only(p)), envoy.Config{})
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
	tape := &tape{ctx: b.Context(), messages: []*extproc.ProcessingRequest{
		{Request: &extproc.ProcessingRequest_RequestHeaders{RequestHeaders: headers(":method", "POST", ":path", "/v1/completions")}},
		{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: &extproc.HttpBody{Body: []byte(chat), EndOfStream: true}}},
		{Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: headers(":status", "200", "content-type", "text/event-stream")}},
	}}
	for range b.N {
		tape.messages = append(tape.messages, chunk)
	}
	b.ReportAllocs()
	if err := processor.Process(tape); err != nil || tape.last.GetResponseBody() == nil {
		b.Fatalf("%v, %v", err, tape.last)
	}
}

// BenchmarkStream measures the throughput of a streamed answer of 1,000 chunks.
func BenchmarkStream(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 1000 {
			_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"word "}}]}`+"\n\n")
			_ = http.NewResponseController(w).Flush()
		}
	}))
	b.Cleanup(upstream.Close)
	r := newRig(b, 100, upstream.URL)
	for name, url := range map[string]string{"direct": upstream.URL, "through": r.url} {
		b.Run(name, func(b *testing.B) {
			began := time.Now()
			for range b.N {
				res, err := r.client.Post(url+"/v1/completions", "application/json", strings.NewReader(chat))
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			b.ReportMetric(float64(b.N)*1000/time.Since(began).Seconds(), "chunks/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
