package endpoints

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/weirflow/weir/policies"
)

// MetricNames are the names of a model server's own metrics, as it exports them
// for Prometheus.
type MetricNames struct {
	// Waiting and Running count its sequences; KVCacheUsage is the share of its KV
	// cache in use, from 0 to 1.
	Waiting, Running, KVCacheUsage string
	// LoRA has, as labels, the adapters that run and that wait, and how many can be
	// loaded; as vLLM's vllm:lora_requests_info. Empty for none.
	LoRA string
}

// VLLMMetrics are vLLM's.
func VLLMMetrics() MetricNames {
	return MetricNames{
		Waiting: "vllm:num_requests_waiting", Running: "vllm:num_requests_running", KVCacheUsage: "vllm:kv_cache_usage_perc",
		LoRA: "vllm:lora_requests_info",
	}
}

// SGLangMetrics are SGLang's.
func SGLangMetrics() MetricNames {
	return MetricNames{Waiting: "sglang:num_queue_reqs", Running: "sglang:num_running_reqs", KVCacheUsage: "sglang:token_usage"}
}

// TensorRTLLMMetrics are those of TensorRT-LLM under Triton.
func TensorRTLLMMetrics() MetricNames {
	return MetricNames{
		Waiting:      `nv_trt_llm_request_metrics{request_type=waiting}`,
		Running:      `nv_trt_llm_request_metrics{request_type=scheduled}`,
		KVCacheUsage: `nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}`,
	}
}

// errNoMetrics says that an endpoint answers and none of the metrics is there.
var errNoMetrics = errors.New("none of the metrics is exported")

// parseMetrics reads the named metrics of a text in Prometheus's format. A metric
// with several series, such as one for each model, is added up; the KV cache's is
// the fullest.
func parseMetrics(text io.Reader, names MetricNames) (*policies.EndpointMetrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	waiting, running, kv := series(families, names.Waiting), series(families, names.Running), series(families, names.KVCacheUsage)
	if len(waiting) == 0 && len(kv) == 0 {
		return nil, fmt.Errorf("%w: %s, %s", errNoMetrics, names.Waiting, names.KVCacheUsage)
	}
	m := &policies.EndpointMetrics{}
	for _, s := range waiting {
		m.Waiting += int(value(s))
	}
	for _, s := range running {
		m.Running += int(value(s))
	}
	for _, s := range kv {
		m.KVCacheUsage = max(m.KVCacheUsage, value(s))
	}
	adapters(m, series(families, names.LoRA))
	return m, nil
}

// series returns a metric's series: those with the given label where the name says
// one, as in name{label=value}.
func series(families map[string]*dto.MetricFamily, name string) []*dto.Metric {
	name, selector, some := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	all := families[name].GetMetric()
	if !some {
		return all
	}
	key, want, _ := strings.Cut(selector, "=")
	var matching []*dto.Metric
	for _, s := range all {
		if label(s, key) == strings.Trim(want, `"`) {
			matching = append(matching, s)
		}
	}
	return matching
}

func label(s *dto.Metric, name string) string {
	for _, l := range s.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// maxAdapters bounds how many adapters' names are kept of an endpoint.
const maxAdapters = 256

// adapters reads the LoRA adapters from the newest series: its value is its time.
func adapters(m *policies.EndpointMetrics, all []*dto.Metric) {
	var newest *dto.Metric
	for _, s := range all {
		if newest == nil || value(s) > value(newest) {
			newest = s
		}
	}
	if newest == nil {
		return
	}
	names := func(text string) (list []string) {
		for name := range strings.SplitSeq(text, ",") {
			if name = strings.TrimSpace(name); name != "" && len(list) < maxAdapters {
				list = append(list, strings.Clone(name))
			}
		}
		return list
	}
	m.LoadedModels, m.WaitingModels = names(label(newest, "running_lora_adapters")), names(label(newest, "waiting_lora_adapters"))
	if n, err := strconv.Atoi(label(newest, "max_lora")); err == nil && n > 0 {
		m.MaxLoadedModels = min(n, 1<<20)
	}
}

// value is a sample's value within bounds: it comes from the network.
func value(m *dto.Metric) float64 {
	v := m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
	if !(v > 0) { // negative, or not a number
		return 0
	}
	return min(v, 1e10)
}
