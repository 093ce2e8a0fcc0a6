package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/policies"
)

// TestTokensByTenant wants the tokens counted for each tenant to be those that the model
// servers say, for plain and streamed answers.
func TestTokensByTenant(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		usage := `"usage":{"prompt_tokens":100,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":60}}`
		if r.Header.Get("X-Stream") == "" {
			_, _ = fmt.Fprintf(w, "{%s}", usage)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for range 7 {
			_, _ = fmt.Fprint(w, "data: {\"choices\":[]}\n\n")
		}
		_, _ = fmt.Fprintf(w, "data: {%s}\n\ndata: [DONE]\n\n", usage)
	}))
	t.Cleanup(upstream.Close)
	r := rig.New(t, 20, upstream.URL)
	const each = 100
	var all sync.WaitGroup
	for i := range 2 * each {
		all.Go(func() {
			headers := []string{headers.Flow[0], []string{"a", "b"}[i%2]}
			if i%4 < 2 {
				headers = append(headers, "X-Stream", "yes")
			}
			r.Post(t, "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"`+strings.Repeat("word ", 100)+`"}]}`, headers...)
		})
	}
	all.Wait()
	r.Server.Close() // once all requests are over
	for direction, tokens := range map[string]float64{"in": 100, "cached": 60, "out": 7} {
		for _, flow := range []string{"a", "b"} {
			if got := r.Figure(t, "weir_tokens_total", "fairness_id", flow, "direction", direction); got != each*tokens {
				t.Errorf("tenant %s, %s: %v tokens counted, the servers say %v", flow, direction, got, each*tokens)
			}
		}
	}
	if got := r.Figure(t, "weir_slot_seconds_total", "fairness_id", "a"); got <= 0 {
		t.Errorf("slots were held for %v s", got)
	}
	want := map[string]float64{"first_token": 2 * each, "duration": 2 * each, "token_interval": each}
	for name, n := range want {
		if got := r.Figure(t, "weir_request_"+name+"_seconds"); got != n {
			t.Errorf("%s was observed %v times, want %v", name, got, n)
		}
	}
}

// TestUpstreamErrors wants failures of a model server to be told apart.
func TestUpstreamErrors(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or its end is not noticed
		switch r.Header.Get("X-Fail") {
		case "status":
			w.WriteHeader(http.StatusInternalServerError)
		case "silence":
			<-r.Context().Done()
		case "middle":
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(upstream.Close)
	for _, c := range []struct{ fail, kind string }{{"status", "status_5xx"}, {"silence", "no_answer"}, {"middle", "broke_off"}, {"begin", "broke_off"}} {
		firstByte := time.Minute
		if c.fail == "silence" {
			firstByte = 50 * time.Millisecond
		}
		r := rig.With(t, 4, nil, rig.Bounded(flows.Timeouts{FirstByte: firstByte}), upstream.URL)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(rig.Chat))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Fail", c.fail)
		if res, err := r.Client.Do(req); err == nil {
			_, _ = new(bytes.Buffer).ReadFrom(res.Body)
			_ = res.Body.Close()
		}
		r.Server.Close()
		n, all := r.Figure(t, "weir_endpoint_errors_total", "endpoint", strings.TrimPrefix(upstream.URL, "http://"), "kind", c.kind), r.Figure(t, "weir_endpoint_errors_total")
		if n != 1 || all != 1 {
			t.Errorf("a server that fails by %s: %v of %s, %v of all kinds", c.fail, n, c.kind, all)
		}
	}
	address := freeport.Address(t)
	r := rig.New(t, 4, "http://"+address)
	r.Post(t, "/v1/chat/completions", rig.Chat)
	r.Server.Close()
	if n := r.Figure(t, "weir_endpoint_errors_total", "endpoint", address, "kind", "unreachable"); n != 1 {
		t.Errorf("a server that cannot be connected to: %v", n)
	}
	if n := r.Figure(t, "weir_requests_refused_total", "reason", "upstream_unreachable"); n != 1 {
		t.Errorf("its request was counted as refused %v times", n)
	}
}

// TestMetricNames wants metrics of flow control under the names that were asked for, and
// each set of them to be one that Prometheus takes. Of the two servers one only reads prompts.
func TestMetricNames(t *testing.T) {
	var source endpoints.Static
	for _, role := range []string{"decode", "prefill"} {
		u, err := url.Parse(rig.ModelServer(t))
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, endpoints.Spec{URL: u, Labels: map[string]string{policies.RoleLabel: role}})
	}
	r := rig.With(t, 4, nil, func(c *rig.Config) { c.Endpoints.Source = source })
	r.Post(t, "/v1/chat/completions", rig.Chat)
	r.Post(t, "/v1/chat/completions", "{")
	r.Server.Close()
	for _, c := range []struct {
		names    metrics.Names
		has, not []string
	}{
		{metrics.WeirNames, []string{"weir_flow_control_requests_total{", `weir_flow_control_limit{inference_pool="test"} 4`, `weir_flow_control_stage_saturation{inference_pool="test",stage="decode"}`}, []string{"llm_d_epp_", "inference_extension_"}},
		{
			metrics.LLMDNames,
			[]string{
				`llm_d_epp_flow_control_requests_total{inference_pool="test",outcome="Dispatched",priority="0"} 1`,
				`llm_d_epp_flow_control_pool_saturation{inference_pool="test",stage="effective"}`,
				`llm_d_epp_flow_control_pool_saturation{inference_pool="test",stage="prefill"}`,
				`llm_d_epp_flow_control_pool_saturation{inference_pool="test",stage="decode"}`,
				`llm_d_epp_flow_control_request_queue_duration_seconds_bucket{fairness_id="default-flow",`,
				`inference_extension_scheduler_attempts_total{inference_pool="test",status="success"} 1`,
				"weir_tokens_total{", "weir_flow_control_limit{",
			},
			[]string{"weir_flow_control_requests_total", "weir_flow_control_pool_saturation"},
		},
		{metrics.BothNames, []string{"weir_flow_control_requests_total{", "llm_d_epp_flow_control_requests_total{", "weir_flow_control_pool_saturation{"}, nil},
	} {
		page := httptest.NewRecorder()
		promhttp.HandlerFor(metrics.Named(r.Metrics, c.names), promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		text := page.Body.String()
		for _, want := range c.has {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %s is not there", c.names, want)
			}
		}
		for _, gone := range c.not {
			if strings.Contains(text, gone) {
				t.Errorf("%s: %s is there", c.names, gone)
			}
		}
		needs.Tool(t, "promtool")
		check := exec.Command("promtool", "check", "metrics")
		check.Stdin = strings.NewReader(text)
		out, err := check.CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if !strings.HasSuffix(strings.TrimSpace(line), "should not contain abbreviated units") || !strings.HasPrefix(line, "llm_d_") { // it takes the d for days
				t.Errorf("%s: %v: %s", c.names, err, line)
			}
		}
	}
}
