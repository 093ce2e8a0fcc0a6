package endpoints

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

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
			vllmMetrics(),
			policies.EndpointMetrics{Waiting: 7, Running: 7, KVCacheUsage: 0.5},
		},
		"sglang": {"sglang:num_queue_reqs 2\nsglang:token_usage 0.1\n", sglangMetrics(), policies.EndpointMetrics{Waiting: 2, KVCacheUsage: 0.1}},
		"hostile": {
			"vllm:num_requests_waiting -5\nvllm:kv_cache_usage_perc NaN\nvllm:num_requests_running +Inf\n",
			vllmMetrics(),
			policies.EndpointMetrics{Running: 1e10},
		},
		"more than all": {"vllm:kv_cache_usage_perc 1.01\n", vllmMetrics(), policies.EndpointMetrics{KVCacheUsage: 1}},
	} {
		var got policies.EndpointMetrics
		if err := read(&c.names, []byte(c.text), &got); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	names := vllmMetrics()
	for text, want := range map[string]error{
		"up 1\n":                      errNoMetrics,
		"<html>":                      errNoMetrics,
		"vllm:num_requests_waiting 1": errNoMetrics, // may be 10
		"vllm:num_requests_waiting{model_name=\"a} 3\n": errSample,
		"vllm:num_requests_waiting three\n":             errSample,
		"vllm:kv_cache_usage_perc 50\n":                 errShare,
	} {
		if err := read(&names, []byte(text), new(policies.EndpointMetrics)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// TestReadAllocates wants no allocation of what is read again and again.
func TestReadAllocates(t *testing.T) {
	names := tensorRTLLMMetrics()
	names.Running = vllmMetrics().Running
	r, page := newMetricsReader(&names), vllmPage(48<<10)
	page = append(page, "nv_trt_llm_request_metrics{model=\"m\",request_type=\"waiting\"} 3\n"...)
	text, memory := bytes.NewReader(page), make([]byte, 8<<10)
	var m policies.EndpointMetrics
	if n := testing.AllocsPerRun(10, func() {
		text.Reset(page)
		if err := r.read(text, memory, &m); err != nil {
			t.Fatal(err)
		}
	}); n > 0 || m.Waiting != 3 || m.Running != 2 {
		t.Errorf("%v allocations to read %+v", n, m)
	}
}

func read(names *MetricNames, text []byte, m *policies.EndpointMetrics) error {
	r := newMetricsReader(names)
	return r.read(bytes.NewReader(text), make([]byte, maxLine), m)
}

// TestReadInParts wants a page to say the same however it comes, and a line to be passed over that is
// longer than the memory there is, with all that is in it.
func TestReadInParts(t *testing.T) {
	const memory = 256
	names := vllmMetrics()
	r := newMetricsReader(&names)
	text := string(vllmPage(4<<10)) + "x" + strings.Repeat("y", 3*memory) + " vllm:num_requests_waiting 9\nvllm:num_requests_waiting 2\n"
	for name, page := range map[string]io.Reader{
		"at once": strings.NewReader(text), "by the byte": iotest.OneByteReader(strings.NewReader(text)), "with its end": iotest.DataErrReader(strings.NewReader(text)),
	} {
		var m policies.EndpointMetrics
		if err := r.read(page, make([]byte, memory), &m); err != nil {
			t.Fatal(err)
		}
		if m.Waiting != 3 || m.Running != 2 || m.KVCacheUsage != 0.25 || len(m.LoadedModels) != 2 {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if err := r.read(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text))), make([]byte, memory), new(policies.EndpointMetrics)); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a page that does not come: %v", err)
	}
}

// vllmPage is a page of about that size, with vLLM's metrics among those of its histograms.
func vllmPage(size int) []byte {
	var b bytes.Buffer
	b.WriteString("# HELP vllm:num_requests_running Number of requests in model execution batches.\n# TYPE vllm:num_requests_running gauge\n" +
		"vllm:num_requests_running{engine=\"0\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"} 2.0\n" +
		"# HELP vllm:num_requests_waiting Number of requests waiting to be processed.\n# TYPE vllm:num_requests_waiting gauge\n" +
		"vllm:num_requests_waiting{engine=\"0\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"} 1.0\n" +
		"# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.\n# TYPE vllm:kv_cache_usage_perc gauge\n" +
		"vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"} 0.25\n" +
		"# HELP vllm:lora_requests_info Running stats on lora requests.\n# TYPE vllm:lora_requests_info gauge\n" +
		"vllm:lora_requests_info{max_lora=\"4\",running_lora_adapters=\"sql,chat\",waiting_lora_adapters=\"\"} 1.7e+09\n")
	for i := 0; b.Len() < size; i++ {
		_, _ = fmt.Fprintf(&b, "# HELP vllm:histogram_%d_seconds Histogram of a time in seconds.\n# TYPE vllm:histogram_%d_seconds histogram\n", i, i)
		for le := range 20 {
			_, _ = fmt.Fprintf(&b, "vllm:histogram_%d_seconds_bucket{engine=\"0\",le=\"%d.0\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"} %d.0\n", i, le, 17*le)
		}
		_, _ = fmt.Fprintf(&b, "vllm:histogram_%d_seconds_count{engine=\"0\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"} 340.0\n", i)
		_, _ = fmt.Fprintf(&b, "vllm:histogram_%d_seconds_sum{engine=\"0\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\"} 3400.5\n", i)
	}
	return b.Bytes()
}

// FuzzParseMetrics reads a page as Prometheus's own parser does, where that takes the
// whole page.
func FuzzParseMetrics(f *testing.F) {
	f.Add("vllm:num_requests_waiting{model_name=\"a\"} 3\n")
	f.Add("vllm:num_requests_waiting { model_name = \"a\\\\\" , } 3 17\n\tvllm:kv_cache_usage_perc 1e-3\n")
	f.Add("# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{a=\"}\",\"b\"=\"\\n\"} +Inf\nvllm:kv_cache_usage_perc .5\n")
	f.Add("vllm:lora_requests_info{max_lora=\"4\",running_lora_adapters=\"x, y\"} 2\nvllm:lora_requests_info{max_lora=\"5\"} 1\nvllm:kv_cache_usage_perc NaN\n")
	f.Add(string(vllmPage(2 << 10)))
	f.Fuzz(func(t *testing.T, text string) {
		for _, names := range []MetricNames{vllmMetrics(), {Waiting: `vllm:num_requests_waiting{model_name=a}`, KVCacheUsage: "vllm:kv_cache_usage_perc"}} {
			var got policies.EndpointMetrics
			err := read(&names, []byte(text), &got)
			if err == nil && (got.Waiting < 0 || got.Running < 0 || !(got.KVCacheUsage >= 0)) {
				t.Errorf("%q: %+v", text, got)
			}
			want, wantErr := parseByLibrary(text, &names)
			switch {
			case errors.Is(wantErr, errNotComparable):
			case (err == nil) != (wantErr == nil):
				t.Errorf("%q: %v, the library says %v", text, err, wantErr)
			case err == nil:
				if diff := cmp.Diff(*want, got); diff != "" {
					t.Errorf("%q: other than the library: %s", text, diff)
				}
			}
		}
	})
}

// errNotComparable says that Prometheus's parser refuses the page as a whole, or that it
// has what no model server exports: a wanted metric as a histogram, or a name in quotes.
var errNotComparable = errors.New("not comparable")

var quotedName = regexp.MustCompile(`(?m)^[^#{]*"|^\s*\{`)

// parseByLibrary reads a page by Prometheus's own parser.
func parseByLibrary(text string, names *MetricNames) (*policies.EndpointMetrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil || quotedName.MatchString(text) {
		return nil, errNotComparable
	}
	for _, f := range families {
		switch f.GetType() {
		case dto.MetricType_SUMMARY, dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
			return nil, errNotComparable
		}
	}
	series := func(name string) (matching []*dto.Metric) {
		s := newSelector(name)
		for _, m := range families[s.name].GetMetric() {
			if !s.labelled || labelOf(m, s.label) == s.value {
				matching = append(matching, m)
			}
		}
		return matching
	}
	waiting, kv := series(names.Waiting), series(names.KVCacheUsage)
	if len(waiting) == 0 && len(kv) == 0 {
		return nil, errNoMetrics
	}
	m := &policies.EndpointMetrics{}
	for _, s := range waiting {
		m.Waiting += int(valueOf(s))
	}
	for _, s := range series(names.Running) {
		m.Running += int(valueOf(s))
	}
	for _, s := range kv {
		if valueOf(s) > maxShare {
			return nil, errShare
		}
		m.KVCacheUsage = max(m.KVCacheUsage, min(valueOf(s), 1))
	}
	var newest *dto.Metric
	for _, s := range series(names.LoRA) {
		if newest == nil || valueOf(s) > valueOf(newest) {
			newest = s
		}
	}
	if newest == nil {
		return m, nil
	}
	list := func(label string) (names []string) {
		for _, name := range strings.Split(labelOf(newest, label), ",") {
			if name = strings.TrimSpace(name); name != "" && len(names) < maxAdapters {
				names = append(names, name)
			}
		}
		return names
	}
	m.LoadedModels, m.WaitingModels = list("running_lora_adapters"), list("waiting_lora_adapters")
	if n, err := strconv.Atoi(labelOf(newest, "max_lora")); err == nil && n > 0 {
		m.MaxLoadedModels = min(n, 1<<20)
	}
	return m, nil
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func valueOf(m *dto.Metric) float64 {
	v := m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
	if !(v > 0) {
		return 0
	}
	return min(v, 1e10)
}

func BenchmarkParse(b *testing.B) {
	page, names := vllmPage(48<<10), vllmMetrics()
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		r, m := newMetricsReader(&names), policies.EndpointMetrics{}
		memory := make([]byte, maxLine)
		for b.Loop() {
			if err := r.read(bytes.NewReader(page), memory, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			parser := expfmt.NewTextParser(model.UTF8Validation)
			if _, err := parser.TextToMetricFamilies(bytes.NewReader(page)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestEngineByLabel wants an endpoint's label to say whose names hold for it, and a label
// that says nothing known to change nothing.
func TestEngineByLabel(t *testing.T) {
	names := vllmMetrics()
	p := New(Config{Source: Static{}, Engines: Engines{Label: EngineLabel, Own: map[string]MetricNames{"mine": {Waiting: "depth"}}}, Watch: Watch{Scrape: true}, Metrics: names})
	defer p.Close()
	for engine, want := range map[string]MetricNames{"": names, "vllm": names, "sglang": sglangMetrics(), "mine": {Waiting: "depth"}, "unheard-of": names} {
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
