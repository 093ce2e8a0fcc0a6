package endpoints

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weirflow/weir/policies"
)

func TestParseMetrics(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		names MetricNames
		want  policies.EndpointMetrics
	}{
		"vllm": {
			"# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{model_name=\"a\"} 3\nvllm:num_requests_waiting{model_name=\"b\"} 4\n" +
				"# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{model_name=\"a\"} 0.25\nvllm:kv_cache_usage_perc{model_name=\"b\"} 0.5\n" +
				"vllm:num_requests_running 7\n",
			VLLMMetrics(),
			policies.EndpointMetrics{Waiting: 7, Running: 7, KVCacheUsage: 0.5},
		},
		"sglang": {"sglang:num_queue_reqs 2\nsglang:token_usage 0.1\n", SGLangMetrics(), policies.EndpointMetrics{Waiting: 2, KVCacheUsage: 0.1}},
		"hostile": {
			"vllm:num_requests_waiting -5\nvllm:kv_cache_usage_perc NaN\nvllm:num_requests_running +Inf\n",
			VLLMMetrics(),
			policies.EndpointMetrics{Running: 1e10},
		},
	} {
		got, err := parseMetrics(strings.NewReader(c.text), c.names)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(c.want, *got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := parseMetrics(strings.NewReader("up 1\n"), VLLMMetrics()); !errors.Is(err, errNoMetrics) {
		t.Errorf("without the metrics: %v", err)
	}
	if _, err := parseMetrics(strings.NewReader("<html>"), VLLMMetrics()); err == nil {
		t.Error("a page was read as metrics")
	}
}

func FuzzParseMetrics(f *testing.F) {
	f.Add("vllm:num_requests_waiting{model_name=\"a\"} 3\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMetrics(strings.NewReader(text), VLLMMetrics())
		if err == nil && (m.Waiting < 0 || m.Running < 0 || !(m.KVCacheUsage >= 0)) {
			t.Errorf("%q: %+v", text, m)
		}
	})
}

// TestEngineByLabel wants an endpoint's label to say whose names hold for it, and a label
// that says nothing known to change nothing.
func TestEngineByLabel(t *testing.T) {
	names := VLLMMetrics()
	p := New(Config{Source: Static{}, Engines: Engines{Label: EngineLabel, Own: map[string]MetricNames{"mine": {Waiting: "depth"}}}, Scrape: &names})
	defer p.Close()
	for engine, want := range map[string]MetricNames{"": names, "vllm": names, "sglang": SGLangMetrics(), "mine": {Waiting: "depth"}, "unheard-of": names} {
		spec := At("", "http", "10.0.0.1", "8000")
		spec.Labels = map[string]string{EngineLabel: engine}
		e := &Endpoint{pool: p}
		e.spec.Store(&spec)
		if got := p.names(e); got != want {
			t.Errorf("%q: %+v, want %+v", engine, got, want)
		}
	}
}

func TestMetricsAt(t *testing.T) {
	plain, secure := At("", "http", "10.0.0.1", "8000"), Spec{URL: &url.URL{Scheme: "https", Host: "host"}}
	for _, c := range []struct {
		at   MetricsAt
		spec Spec
		want string
	}{
		{MetricsAt{}, plain, "http://10.0.0.1:8000/metrics"},
		{MetricsAt{Path: "/prometheus"}, plain, "http://10.0.0.1:8000/prometheus"},
		{MetricsAt{Port: 9400, Scheme: "https"}, plain, "https://10.0.0.1:9400/metrics"},
		{MetricsAt{}, secure, "https://host/metrics"},
		{MetricsAt{Scheme: "http"}, secure, "http://host:443/metrics"},
	} {
		if got := c.at.of(&c.spec); got != c.want {
			t.Errorf("%+v of %v: %s, want %s", c.at, c.spec.URL, got, c.want)
		}
	}
}
