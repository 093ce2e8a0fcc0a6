package replica_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/endpoints"
)

// TestEngines wants the readings of engines other than vLLM, by a file of today's EPPs,
// where the file says they are, and requests to be served by them.
func TestEngines(t *testing.T) {
	for engine, text := range map[string]string{
		"sglang":              "sglang:num_queue_reqs 3\nsglang:num_running_reqs 2\nsglang:token_usage 0.25\n",
		"trtllm-serve":        "trtllm_num_requests_waiting 3\ntrtllm_num_requests_running 2\ntrtllm_kv_cache_utilization 0.25\n",
		"triton-tensorrt-llm": "nv_trt_llm_request_metrics{request_type=\"waiting\"} 3\nnv_trt_llm_request_metrics{request_type=\"scheduled\"} 2\nnv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"fraction\"} 0.25\n",
		"llamacpp":            "llamacpp:requests_deferred 3\nllamacpp:requests_processing 2\nllamacpp:kv_cache_usage_ratio 0.25\n",
		"mine":                "depth 3\nactive 2\nfull 0.25\n",
	} {
		t.Run(engine, func(t *testing.T) {
			metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/prometheus" {
					http.NotFound(w, r)
					return
				}
				fmt.Fprint(w, text)
			}))
			t.Cleanup(metrics.Close)
			file := filepath.Join(t.TempDir(), "weir.yaml")
			write(t, file, fmt.Sprintf(`
apiVersion: llm-d.ai/v1
kind: EndpointPickerConfig
plugins:
- type: metrics-data-source
  parameters: {path: /prometheus, port: %s}
- type: core-metrics-extractor
  parameters:
    defaultEngine: %s
    engineConfigs: [{name: mine, queuedRequestsSpec: depth, runningRequestsSpec: active, kvUsageSpec: full}]
flowControl: {saturationDetector: {pluginRef: utilization-detector}}
`, metrics.URL[strings.LastIndex(metrics.URL, ":")+1:], engine))
			r := start(t, file, map[string]string{"max-concurrency": ""})
			var status endpoints.Status
			within(t, 5*time.Second, "a reading", func() bool {
				res, err := http.Get(r.admin + "/v1/endpoints")
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close() //nolint:errcheck // it was only read
				text, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				var all []endpoints.Status
				if err := json.Unmarshal(text, &all); err != nil {
					var named struct{ Endpoints []endpoints.Status }
					if err := json.Unmarshal(text, &named); err != nil {
						t.Fatalf("%s: %v", text, err)
					}
					all = named.Endpoints
				}
				if len(all) == 1 {
					status = all[0]
				}
				return status.Waiting != nil
			})
			if *status.Waiting != 3 || *status.Running != 2 || *status.KVCacheUsage != 0.25 {
				t.Errorf("waiting %d, running %d, cache %v; want 3, 2, 0.25", *status.Waiting, *status.Running, *status.KVCacheUsage)
			}
			if code := r.ask(t, "any"); code != http.StatusOK {
				t.Errorf("a request was answered %d", code)
			}
		})
	}
}
