package endpoints

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirflow/weir/policies"
)

// Types of the plug-ins by which a configuration says where model servers' metrics are,
// and what they are called.
const (
	MetricsDataSourceType    = "metrics-data-source"
	CoreMetricsExtractorType = "core-metrics-extractor"
)

// EngineLabel is the label of an endpoint that names its engine, by default.
const EngineLabel = "llm-d.ai/engine-type"

// builtinEngines are the metrics of the engines that need no description.
var builtinEngines = map[string]MetricNames{
	"vllm": vllmMetrics(), "sglang": sglangMetrics(), "trtllm-serve": {
		Waiting: "trtllm_num_requests_waiting", Running: "trtllm_num_requests_running", KVCacheUsage: "trtllm_kv_cache_utilization",
	},
	"triton-tensorrt-llm": tensorRTLLMMetrics(), "tensorrt-llm": tensorRTLLMMetrics(),
	"triton":   {Waiting: "nv_inference_pending_request_count"},
	"llamacpp": {Waiting: "llamacpp:requests_deferred", Running: "llamacpp:requests_processing", KVCacheUsage: "llamacpp:kv_cache_usage_ratio"},
}

// Engines are the names of metrics by the engine that a model server runs. The zero value
// knows those that come with Weir.
type Engines struct {
	// Label is the label of an endpoint that names its engine; one without it is of the
	// engine that the pool names.
	Label string
	// Own are engines that a configuration describes, by their names; one of a known
	// name replaces it.
	Own map[string]MetricNames
}

// Names returns an engine's names, and whether it is known.
func (e Engines) Names(engine string) (MetricNames, bool) {
	if names, ok := e.Own[engine]; ok {
		return names, true
	}
	names, ok := builtinEngines[engine]
	return names, ok
}

// known are the engines, sorted.
func (e Engines) known() []string {
	all := maps.Clone(builtinEngines)
	maps.Copy(all, e.Own)
	return slices.Sorted(maps.Keys(all))
}

// MetricsAt says where endpoints' metrics are, where that is not /metrics of their own
// address. An empty field changes nothing.
type MetricsAt struct {
	Scheme, Path string
	Port         int
	// InsecureSkipVerify takes the endpoints' certificates unseen.
	InsecureSkipVerify bool
}

// of is the URL of the metrics of an endpoint.
func (a MetricsAt) of(s *Spec) string {
	if s.Metrics != nil {
		return s.Metrics.String()
	}
	u := url.URL{Scheme: s.URL.Scheme, Host: s.URL.Host}
	if a.Scheme != "" {
		u.Scheme, u.Host = a.Scheme, s.Address() // which has the port that the other scheme implied
	}
	if a.Port != 0 {
		u.Host = net.JoinHostPort(s.URL.Hostname(), strconv.Itoa(a.Port))
	}
	path := "/metrics"
	if a.Path != "" {
		path = a.Path
	}
	return u.JoinPath(path).String()
}

// names are those of an endpoint's metrics: its engine's, if a label names one that is
// known.
func (p *Pool) names(e *Endpoint) MetricNames {
	engines := p.cfg.Engines
	if engine := e.spec.Load().Labels[engines.Label]; engine != "" && engines.Label != "" {
		if names, ok := engines.Names(engine); ok {
			return names
		}
	}
	return p.cfg.Metrics
}

// MetricsDataSource is the plug-in that says where metrics are.
type MetricsDataSource struct {
	policies.Named
	MetricsAt
	// Interval is how often they are read; 0 if it does not say.
	Interval time.Duration
}

// MetricsDataSourceParameters are what [MetricsDataSourceType] takes.
type MetricsDataSourceParameters struct {
	// Scheme is http or https, Path that of the metrics, and Port theirs; by default
	// the endpoint's scheme and port, and /metrics.
	Scheme string `json:"scheme"`
	Path   string `json:"path"`
	Port   int    `json:"port"`
	// Interval is how often they are read; weir.metrics.interval by default.
	Interval policies.Duration `json:"interval"`
	// InsecureSkipVerify is whether certificates are taken unseen; true.
	InsecureSkipVerify bool `json:"insecureSkipVerify"`
}

// MetricsDataSourceFactory is the factory of [MetricsDataSourceType].
func MetricsDataSourceFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p := MetricsDataSourceParameters{InsecureSkipVerify: true}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	switch {
	case p.Scheme != "" && p.Scheme != "http" && p.Scheme != "https":
		return nil, fmt.Errorf("%w: scheme is %q, it must be http or https", policies.ErrParameters, p.Scheme)
	case p.Port < 0 || p.Port > 65535:
		return nil, fmt.Errorf("%w: port is %d, it must be from 1 to 65535", policies.ErrParameters, p.Port)
	case p.Interval < 0:
		return nil, fmt.Errorf("%w: interval must not be negative", policies.ErrParameters)
	}
	return &MetricsDataSource{policies.NewNamed(MetricsDataSourceType, name), MetricsAt{p.Scheme, p.Path, p.Port, p.InsecureSkipVerify}, time.Duration(p.Interval)}, nil
}

// CoreMetricsExtractor is the plug-in that says what metrics are called.
type CoreMetricsExtractor struct {
	policies.Named
	Engines
	// DefaultEngine is the engine of endpoints whose label names none.
	DefaultEngine string
}

// CoreMetricsExtractorParameters are what [CoreMetricsExtractorType] takes.
type CoreMetricsExtractorParameters struct {
	// EngineLabelKey is the label that names an endpoint's engine; llm-d.ai/engine-type.
	EngineLabelKey string `json:"engineLabelKey"`
	// DefaultEngine is that of endpoints without the label; vllm.
	DefaultEngine string `json:"defaultEngine"`
	// EngineConfigs describe engines.
	EngineConfigs []EngineParameters `json:"engineConfigs"`
}

// EngineParameters are the names of an engine's metrics. What Weir does not read is
// accepted and has no effect.
type EngineParameters struct {
	Name                string `json:"name"`
	QueuedRequestsSpec  string `json:"queuedRequestsSpec"`
	RunningRequestsSpec string `json:"runningRequestsSpec"`
	KVUsageSpec         string `json:"kvUsageSpec"`
	LoRASpec            string `json:"loraSpec"`

	LoRALoadedSpec          string            `json:"loraLoadedSpec"`
	LoRAGPULoadedSpec       string            `json:"loraGPULoadedSpec"`
	LoRAGPUSlotsSpec        string            `json:"loraGPUSlotsSpec"`
	CacheInfoSpec           string            `json:"cacheInfoSpec"`
	CacheBlockSizeLabelName string            `json:"cacheBlockSizeLabelName"`
	CacheNumBlocksLabelName string            `json:"cacheNumBlocksLabelName"`
	CacheBlockSizeSpec      string            `json:"cacheBlockSizeSpec"`
	CacheNumBlocksSpec      string            `json:"cacheNumBlocksSpec"`
	CustomMetrics           []json.RawMessage `json:"customMetrics"`
}

// CoreMetricsExtractorFactory is the factory of [CoreMetricsExtractorType].
func CoreMetricsExtractorFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p := CoreMetricsExtractorParameters{EngineLabelKey: EngineLabel, DefaultEngine: "vllm"}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	e := &CoreMetricsExtractor{policies.NewNamed(CoreMetricsExtractorType, name), Engines{Label: p.EngineLabelKey, Own: make(map[string]MetricNames)}, p.DefaultEngine}
	for i := range p.EngineConfigs {
		c := &p.EngineConfigs[i]
		if c.Name == "" {
			return nil, fmt.Errorf("%w: engineConfigs[%d].name is missing; give the engine's name", policies.ErrParameters, i)
		}
		e.Own[c.Name] = MetricNames{Waiting: c.QueuedRequestsSpec, Running: c.RunningRequestsSpec, KVCacheUsage: c.KVUsageSpec, LoRA: c.LoRASpec}
	}
	if _, ok := e.Names(p.DefaultEngine); !ok {
		return nil, fmt.Errorf("%w: defaultEngine is %q, which engineConfigs does not describe; known are: %s", policies.ErrParameters, p.DefaultEngine, strings.Join(e.known(), ", "))
	}
	return e, nil
}
