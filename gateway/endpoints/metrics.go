package endpoints

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

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

// vllmMetrics are vLLM's.
func vllmMetrics() MetricNames {
	return MetricNames{
		Waiting: "vllm:num_requests_waiting", Running: "vllm:num_requests_running", KVCacheUsage: "vllm:kv_cache_usage_perc",
		LoRA: "vllm:lora_requests_info",
	}
}

// sglangMetrics are SGLang's.
func sglangMetrics() MetricNames {
	return MetricNames{Waiting: "sglang:num_queue_reqs", Running: "sglang:num_running_reqs", KVCacheUsage: "sglang:token_usage"}
}

// tensorRTLLMMetrics are those of TensorRT-LLM under Triton.
func tensorRTLLMMetrics() MetricNames {
	return MetricNames{
		Waiting:      `nv_trt_llm_request_metrics{request_type=waiting}`,
		Running:      `nv_trt_llm_request_metrics{request_type=scheduled}`,
		KVCacheUsage: `nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}`,
	}
}

// errNoMetrics says that an endpoint answers and none of the metrics is there.
var errNoMetrics = errors.New("none of the metrics is exported")

// errShare says that what should be the share of the KV cache in use cannot be.
var errShare = errors.New("not a share from 0 to 1")

// metricsReader finds the wanted metrics in an endpoint's page.
type metricsReader struct{ waiting, running, kvCache, lora selector }

func newMetricsReader(names *MetricNames) metricsReader {
	return metricsReader{
		waiting: newSelector(names.Waiting), running: newSelector(names.Running),
		kvCache: newSelector(names.KVCacheUsage), lora: newSelector(names.LoRA),
	}
}

// selector names a metric's series: those with the given label where the name says one,
// as in name{label=value}.
type selector struct {
	name, label, value string
	labelled           bool
}

func newSelector(name string) (s selector) {
	name, of, labelled := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	label, value, _ := strings.Cut(of, "=")
	return selector{name, label, strings.Trim(value, `"`), labelled}
}

// metricName is what Prometheus takes for one, and a label's name and value behind it.
var metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_][a-zA-Z0-9_]*=("[^"]*"|[^"{},]*)\})?$`)

// IsMetric reports whether a text names a metric, or its series with a label, as in
// name{label=value}.
func IsMetric(text string) bool { return metricName.MatchString(text) }

// selects reports whether a sample is of the series.
func (s *selector) selects(m *sample) bool {
	return s.name != "" && string(m.name) == s.name && (!s.labelled || string(m.label(s.label)) == s.value)
}

// maxLine is the longest line of a page that is looked at, in bytes; longer ones are passed over.
// A page takes this much memory while it is read, however long it is.
const maxLine = 128 << 10

// read reads the wanted metrics of a page in Prometheus's format, a part of it at a time in the
// memory it is given. A last line that does not end may be cut off and is passed over, like every
// line of other metrics and those that the memory has no room for. A metric with several series,
// such as one for each model, is added up; the KV cache's is the fullest. It allocates the adapters'
// names alone.
func (r *metricsReader) read(page io.Reader, memory []byte, m *policies.EndpointMetrics) error {
	*m = policies.EndpointMetrics{}
	f := found{newest: -1}
	long := false // what comes is the rest of a line that there was no room for
	for held := 0; ; {
		n, err := page.Read(memory[held:])
		held += n
		text := memory[:held]
		for {
			end := bytes.IndexByte(text, '\n')
			if end < 0 {
				break
			}
			if !long {
				if err := r.line(skipBlanks(text[:end]), m, &f); err != nil {
					return err
				}
			}
			text, long = text[end+1:], false
		}
		if len(text) == len(memory) {
			text, long = nil, true
		}
		held = copy(memory, text)
		switch {
		case errors.Is(err, io.EOF) && !f.some:
			return fmt.Errorf("%w: %s, %s", errNoMetrics, r.waiting.name, r.kvCache.name)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// found is what was found on a page so far.
type found struct {
	some   bool    // of what tells how full an endpoint is
	newest float64 // the time of the adapters that were read; -1 for none
}

// line reads what a line says, if it is of a wanted metric.
func (r *metricsReader) line(line []byte, m *policies.EndpointMetrics, f *found) error {
	name := r.wanted(line)
	if name == 0 {
		return nil
	}
	s, err := parseSample(line, name)
	if err != nil {
		return err
	}
	if r.waiting.selects(&s) {
		m.Waiting += int(s.value)
		f.some = true
	}
	if r.running.selects(&s) {
		m.Running += int(s.value)
	}
	if r.kvCache.selects(&s) {
		if s.value > maxShare {
			return fmt.Errorf("%w: %s", errShare, s.name)
		}
		m.KVCacheUsage = max(m.KVCacheUsage, min(s.value, 1))
		f.some = true
	}
	if r.lora.selects(&s) && s.value > f.newest { // its value is its time
		f.newest = s.value
		adapters(m, &s)
	}
	return nil
}

// maxShare is the largest number that may be meant as a share of a KV cache, counted a little too
// high: what is larger is another unit, such as percent.
const maxShare = 2

// wanted returns the length of the name of the metric that a line is a sample of, if that
// is looked for, and 0 if not.
func (r *metricsReader) wanted(line []byte) int {
	for _, s := range [...]*selector{&r.waiting, &r.running, &r.kvCache, &r.lora} {
		n := len(s.name)
		if len(line) > n && n > 0 && string(line[:n]) == s.name && !isWord(line[n]) && line[n] != ':' {
			return n
		}
	}
	return 0
}

// maxAdapters bounds how many adapters' names are kept of an endpoint.
const maxAdapters = 256

// adapters reads the LoRA adapters from a series' labels.
func adapters(m *policies.EndpointMetrics, s *sample) {
	names := func(text []byte) (list []string) {
		for name := range bytes.SplitSeq(text, []byte(",")) {
			if name = bytes.TrimSpace(name); len(name) > 0 && len(list) < maxAdapters {
				list = append(list, string(name))
			}
		}
		return list
	}
	m.LoadedModels, m.WaitingModels = names(s.label("running_lora_adapters")), names(s.label("waiting_lora_adapters"))
	m.MaxLoadedModels = 0
	if n, err := strconv.Atoi(string(s.label("max_lora"))); err == nil && n > 0 {
		m.MaxLoadedModels = min(n, 1<<20)
	}
}
