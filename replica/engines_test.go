package replica_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/modelserver"
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
			var status api.Endpoint
			eventually(t, "a reading", func() bool {
				if all := r.endpoints(t); len(all) == 1 {
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

// TestEngineIsNotFlooded puts servers before a load that they cannot take at once, each with
// the metrics of another engine: by these the pool's limit keeps their queues short.
func TestEngineIsNotFlooded(t *testing.T) {
	const slots, queue, clients = 4, 4, 80
	for _, engine := range modelserver.Engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			var now, most atomic.Int64
			cfg := modelserver.DefaultConfig()
			cfg.Engine, cfg.MaxRunning, cfg.Step, cfg.StepPerSequence = engine, slots, 10*time.Millisecond, 0
			cfg.InFlight = func(delta int) {
				n := now.Add(int64(delta))
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
			}
			m, err := modelserver.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(m)
			t.Cleanup(server.Close)
			file := filepath.Join(t.TempDir(), "weir.yaml")
			write(t, file, fmt.Sprintf(`
apiVersion: llm-d.ai/v1
kind: EndpointPickerConfig
plugins:
- {type: core-metrics-extractor, parameters: {defaultEngine: %s}}
- {type: utilization-detector, parameters: {queueDepthThreshold: %d, metricsStalenessThreshold: 5s}}
flowControl: {saturationDetector: {pluginRef: utilization-detector}}
`, engine, queue))
			r := start(t, file, map[string]string{"max-concurrency": "", "upstream": server.URL})
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			for range clients {
				running.Go(func() {
					for ctx.Err() == nil {
						req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/completions", strings.NewReader(`{"model":"m","prompt":"hi","max_tokens":20}`))
						if err != nil {
							return
						}
						if res, err := http.DefaultClient.Do(req); err == nil {
							_, _ = io.Copy(io.Discard, res.Body)
							_ = res.Body.Close()
						}
					}
				})
			}
			defer running.Wait()
			defer stop()
			eventually(t, "it is busy, and read so", func() bool {
				e := r.endpoints(t)
				return len(e) == 1 && e[0].Running != nil && *e[0].Running == slots && *e[0].Waiting > 0 && *e[0].KVCacheUsage > 0
			})
			// Undisturbed 8 to 16. Where the machine has little time the server is read seldom, and more go
			// meanwhile: it is to come to that.
			eventually(t, "its slots are used, and its queue is short for a second", func() bool {
				most.Store(0)
				time.Sleep(time.Second)
				t.Logf("at most %d in flight at a server of %d slots, with %d clients", most.Load(), slots, clients)
				return most.Load() >= slots && most.Load() <= clients/2
			})
		})
	}
}

// endpoints are the replica's, as it tells of them; none if it does not answer in time.
func (r *running) endpoints(t *testing.T) []api.Endpoint {
	t.Helper()
	all, err := (&api.Client{Address: r.admin}).Endpoints(t.Context(), api.Query{})
	if err != nil {
		t.Log(err)
		return nil
	}
	return all.Endpoints
}
