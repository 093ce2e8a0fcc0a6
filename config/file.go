package config

import (
	"encoding/json"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Kind and the API versions that a file may state.
const (
	Kind            = "EndpointPickerConfig"
	APIVersion      = "llm-d.ai/v1alpha1"
	OlderAPIVersion = "inference.networking.x-k8s.io/v1alpha1"
	NewerAPIVersion = "llm-d.ai/v1"
)

// File is what a file says. A field's doc tag is its description in the JSON
// schema.
type File struct {
	APIVersion         string         `yaml:"apiVersion" doc:"llm-d.ai/v1alpha1, the newer llm-d.ai/v1 or the older inference.networking.x-k8s.io/v1alpha1"`
	Kind               string         `yaml:"kind" doc:"EndpointPickerConfig"`
	FeatureGates       []string       `yaml:"featureGates,omitempty" doc:"Accepted; flow control is always on"`
	Plugins            []Plugin       `yaml:"plugins,omitempty" doc:"Plug-ins that other fields refer to by name; a type without parameters can be referred to without being declared"`
	FlowControl        FlowControl    `yaml:"flowControl,omitempty" doc:"Queues, bands and policies; limits are the fleet's"`
	SaturationDetector *OlderDetector `yaml:"saturationDetector,omitempty" doc:"Older place of flowControl.saturationDetector"`
	Weir               Weir           `yaml:"weir,omitempty" doc:"What is Weir's own"`

	SchedulingProfiles []Profile       `yaml:"schedulingProfiles,omitempty" doc:"Which endpoint a request goes to; several where a header or stages choose between them"`
	DataLayer          *DataLayer      `yaml:"dataLayer,omitempty" doc:"Where endpoints come from"`
	Data               *DataLayer      `yaml:"data,omitempty" doc:"Older name of dataLayer"`
	RequestHandler     *RequestHandler `yaml:"requestHandler,omitempty" doc:"Accepted; the OpenAI, Anthropic and vLLM APIs are always read"`
	Parser             *PluginRef      `yaml:"parser,omitempty" doc:"Older place of requestHandler.parsers"`
}

// Profile is a scheduling profile.
type Profile struct {
	Name    string          `yaml:"name,omitempty" doc:"Its name"`
	Plugins []ProfilePlugin `yaml:"plugins" doc:"Scorers and a picker; max-score-picker by default"`
}

// ProfilePlugin is a plug-in of a profile.
type ProfilePlugin struct {
	PluginRef string   `yaml:"pluginRef" doc:"Name of a declared plug-in, or a type"`
	Weight    *float64 `yaml:"weight,omitempty" doc:"What a scorer's scores count; 1 by default"`
}

// Plugin declares one plug-in.
type Plugin struct {
	Name       string `yaml:"name,omitempty" doc:"What it is referred to by; the type by default"`
	Type       string `yaml:"type" doc:"Its type"`
	Parameters *Raw   `yaml:"parameters,omitempty" doc:"What its type takes"`
}

// PluginRef refers to a plug-in.
type PluginRef struct {
	PluginRef string `yaml:"pluginRef" doc:"Name of a declared plug-in, or a type"`
}

// OlderDetector is what stood in the older place of the saturation detector: a reference, or
// before that the thresholds of the only detector that there was.
type OlderDetector struct {
	PluginRef                 string `yaml:"pluginRef,omitempty" doc:"Name of a declared plug-in, or a type"`
	QueueDepthThreshold       *Raw   `yaml:"queueDepthThreshold,omitempty" doc:"Older form of a parameter of the utilization-detector"`
	KVCacheUtilThreshold      *Raw   `yaml:"kvCacheUtilThreshold,omitempty" doc:"Older form of a parameter of the utilization-detector"`
	MetricsStalenessThreshold *Raw   `yaml:"metricsStalenessThreshold,omitempty" doc:"Older form of a parameter of the utilization-detector"`
}

// FlowControl is the section of that name.
type FlowControl struct {
	MaxBytes                     Quantity     `yaml:"maxBytes,omitempty" doc:"Bytes that may wait in all bands together; 0 or unset: no limit"`
	MaxRequests                  Quantity     `yaml:"maxRequests,omitempty" doc:"Requests that may wait in all bands together; 0 or unset: no limit"`
	DefaultRequestTTL            *Duration    `yaml:"defaultRequestTTL,omitempty" doc:"How long a request may wait while the pool has endpoints; 0s for no limit"`
	NoEndpointRequestTTL         *Duration    `yaml:"noEndpointRequestTTL,omitempty" doc:"How long it may wait while the pool has none; defaultRequestTTL by default, 0s for no limit"`
	DefaultPriorityBand          *DefaultBand `yaml:"defaultPriorityBand,omitempty" doc:"Bands that priorityBands does not list"`
	DefaultNegativePriorityBand  *DefaultBand `yaml:"defaultNegativePriorityBand,omitempty" doc:"Those of them below 0; defaultPriorityBand by default"`
	PriorityBands                []Priority   `yaml:"priorityBands,omitempty" doc:"Bands by their priorities"`
	BandSelectionPolicyPluginRef string       `yaml:"bandSelectionPolicyPluginRef,omitempty" doc:"Another name of weir.bandPolicy"`
	UsageLimitPolicyPluginRef    string       `yaml:"usageLimitPolicyPluginRef,omitempty" doc:"How full the pool may get for each band"`
	SaturationDetector           *PluginRef   `yaml:"saturationDetector,omitempty" doc:"How full the pool is; by default the utilization-detector, and while no model server has metrics that can be read the concurrency-detector"`
	EnableEviction               bool         `yaml:"enableEviction,omitempty" doc:"End sheddable requests in flight when a higher band waits at a full pool"`
}

// Band configures a band.
type Band struct {
	MaxBytes          Quantity  `yaml:"maxBytes,omitempty" doc:"Bytes that may wait in it; 0 or unset: 1G"`
	MaxRequests       Quantity  `yaml:"maxRequests,omitempty" doc:"Requests that may wait in it; 0 or unset: 5000"`
	DefaultRequestTTL *Duration `yaml:"defaultRequestTTL,omitempty" doc:"How long its requests may wait while the pool has endpoints; 0s for no limit, flowControl.defaultRequestTTL by default"`
	FairnessPolicyRef string    `yaml:"fairnessPolicyRef,omitempty" doc:"Fairness policy: which flow goes next; global-strict-fairness-policy gives no fairness between tenants"`
	OrderingPolicyRef string    `yaml:"orderingPolicyRef,omitempty" doc:"Which request of a flow goes next"`
}

// DefaultBand configures the bands that are not listed.
type DefaultBand struct {
	Priority *int `yaml:"priority,omitempty" doc:"Accepted; has no effect: such bands are of all other priorities"`
	Band     `yaml:",inline"`
}

// Priority is a band of its own.
type Priority struct {
	Priority int `yaml:"priority" doc:"Higher is more important; below 0 is sheddable"`
	Band     `yaml:",inline"`
}

// Raw is a part of a file that is kept as it is.
type Raw struct{ node *yaml.Node }

// newRaw returns a part that holds a value.
func newRaw(value any) (*Raw, error) {
	var n yaml.Node
	if err := n.Encode(value); err != nil {
		return nil, err
	}
	return &Raw{&n}, nil
}

// JSON returns the part as JSON.
func (r *Raw) JSON() (json.RawMessage, error) {
	if r == nil {
		return nil, nil
	}
	if err := distinct(r.node); err != nil {
		return nil, err
	}
	var v any
	if err := r.node.Decode(&v); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	v, err := jsonable(v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// MarshalYAML implements yaml.Marshaler. A part that a file does not have is null.
func (r *Raw) MarshalYAML() (any, error) {
	if r == nil {
		return nil, nil
	}
	return r.node, nil
}
