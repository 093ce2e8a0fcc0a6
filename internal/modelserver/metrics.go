package modelserver

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// metrics are the names that an engine gives its figures, with the labels that tell a series
// apart from others of the name.
type metrics struct{ running, waiting, cache string }

var metricNames = map[string]metrics{
	"vllm":         {"vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"},
	"sglang":       {"sglang:num_running_reqs", "sglang:num_queue_reqs", "sglang:token_usage"},
	"trtllm-serve": {"trtllm_num_requests_running", "trtllm_num_requests_waiting", "trtllm_kv_cache_utilization"},
	"triton-tensorrt-llm": {
		`nv_trt_llm_request_metrics{request_type="scheduled"}`, `nv_trt_llm_request_metrics{request_type="waiting"}`,
		`nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction"}`,
	},
	"llamacpp": {"llamacpp:requests_processing", "llamacpp:requests_deferred", "llamacpp:kv_cache_usage_ratio"},
}

// Engines are those whose metrics a server can have, sorted.
func Engines() []string { return slices.Sorted(maps.Keys(metricNames)) }

// write writes an engine's figures as Prometheus reads them.
func (m metrics) write(w io.Writer, model string, running, waiting int, cache float64) {
	described := make(map[string]bool)
	for _, s := range []struct {
		series, help string
		value        float64
	}{
		{m.running, "Sequences in the batch.", float64(running)},
		{m.waiting, "Sequences waiting for the batch.", float64(waiting)},
		{m.cache, "Share of the KV cache in use, from 0 to 1.", cache},
	} {
		name, labels, _ := strings.Cut(strings.TrimSuffix(s.series, "}"), "{")
		if !described[name] {
			described[name] = true
			_, _ = fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n", name, s.help, name)
		}
		if labels != "" {
			labels += ","
		}
		_, _ = fmt.Fprintf(w, "%s{%smodel_name=%q} %g\n", name, labels, model, s.value)
	}
}
