package replica_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/config"
)

// TestDetectorIsReloaded goes from a detector that reads no metrics to one that does, and back:
// they are read while one goes by them, and one that cannot read them has no say afterwards.
func TestDetectorIsReloaded(t *testing.T) {
	t.Parallel() // it mostly waits
	var readable atomic.Bool
	var read atomic.Int64
	readable.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/metrics":
			fmt.Fprint(w, "{}")
		case readable.Load():
			read.Add(1)
			fmt.Fprint(w, "vllm:num_requests_waiting 0\nvllm:num_requests_running 0\nvllm:kv_cache_usage_perc 0.25\n")
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	text := func(detector string) string {
		return config.Empty + "flowControl: {saturationDetector: {pluginRef: " + detector + "}, defaultRequestTTL: 10s}\n"
	}
	write(t, file, text("concurrency-detector"))
	r := start(t, file, map[string]string{"max-concurrency": "", "upstream": server.URL})
	reloads := 0
	reload := func(detector string) {
		t.Helper()
		write(t, file, text(detector))
		reloads++
		eventually(t, "it is reloaded", func() bool { return r.logs.FilterMessage("configuration reloaded").Len() == reloads })
	}
	served := func(when string) {
		t.Helper()
		if code := r.ask(t, "any"); code != http.StatusOK {
			t.Errorf("%s: a request is answered %d", when, code)
		}
	}
	served("without metrics")
	if n := read.Load(); n > 0 {
		t.Errorf("metrics that nothing goes by were read %d times", n)
	}

	reload("utilization-detector")
	served("by metrics")
	if e := r.endpoints(t); len(e) != 1 || e[0].KVCacheUsage == nil || *e[0].KVCacheUsage != 0.25 {
		t.Errorf("the model server is shown as %+v", e)
	}
	readable.Store(false)
	eventually(t, "requests are refused", func() bool { return r.ask(t, "any") == http.StatusServiceUnavailable })

	reload("concurrency-detector")
	eventually(t, "requests are served", func() bool { return r.ask(t, "any") == http.StatusOK })
	if e := r.endpoints(t); len(e) != 1 || e[0].KVCacheUsage != nil {
		t.Errorf("the model server is shown with readings from before: %+v", e)
	}
	readable.Store(true)
	before := read.Load()
	time.Sleep(200 * time.Millisecond) // several intervals
	if n := read.Load() - before; n > 0 {
		t.Errorf("metrics that nothing goes by any more were read %d times", n)
	}
}

// TestServersThatClaimTooMuch has one of two servers say that more wait there than can be, or that it
// uses more of its KV cache than there is: requests are served.
func TestServersThatClaimTooMuch(t *testing.T) {
	for name, claim := range map[string]string{
		"waiting":  "vllm:num_requests_waiting 1e18\nvllm:kv_cache_usage_perc 0\n",
		"KV cache": "vllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 50\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			args := map[string]string{"max-concurrency": "", "upstream": ""}
			var urls []string
			for _, metrics := range []string{claim, "vllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 0\n"} {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/metrics" {
						fmt.Fprint(w, metrics)
						return
					}
					fmt.Fprint(w, "{}")
				}))
				t.Cleanup(server.Close)
				urls = append(urls, fmt.Sprintf("{url: %q}", server.URL))
			}
			file := filepath.Join(t.TempDir(), "weir.yaml")
			write(t, file, config.Empty+"flowControl: {saturationDetector: {pluginRef: utilization-detector}, defaultRequestTTL: 5s}\nweir: {endpoints: ["+strings.Join(urls, ", ")+"]}\n")
			r := start(t, file, args)
			for range 20 {
				if code := r.ask(t, "any"); code != http.StatusOK {
					t.Fatalf("a request is answered %d", code)
				}
			}
		})
	}
}
