package scheduling

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/weirflow/weir/policies"
)

// Types of the filters.
const (
	DecodeFilterType         = "decode-filter"
	PrefillFilterType        = "prefill-filter"
	EncodeFilterType         = "encode-filter"
	LabelSelectorFilterType  = "label-selector-filter"
	BySelectorFilterType     = "by-label-selector" // an older name
	ByLabelFilterType        = "by-label"          // for one label
	PrefixAffinityFilterType = "prefix-cache-affinity-filter"
)

// LabelFilter keeps endpoints by their labels.
type LabelFilter struct {
	policies.Named
	keeps func(labels map[string]string) bool
}

// Keep implements [policies.EndpointFilter].
func (f *LabelFilter) Keep(_ policies.SchedulingRequest, endpoints []policies.EndpointAccessor, keep []bool) {
	for i, e := range endpoints {
		keep[i] = f.keeps(policies.LabelsOf(e))
	}
}

// serving keeps endpoints that are there for a stage.
func serving(typ, name string, stage policies.Stage) *LabelFilter {
	return &LabelFilter{policies.NewNamed(typ, name), func(labels map[string]string) bool { return policies.Serves(labels, stage) }}
}

// NewDecodeFilter returns the filter of endpoints that generate; one whose label does not say
// otherwise does.
func NewDecodeFilter(name string) *LabelFilter {
	return serving(DecodeFilterType, name, policies.Decode)
}

// NewPrefillFilter returns the filter of endpoints whose label says that they read prompts.
func NewPrefillFilter(name string) *LabelFilter {
	return serving(PrefillFilterType, name, policies.Prefill)
}

// NewEncodeFilter returns the filter of endpoints whose label says that they encode.
func NewEncodeFilter(name string) *LabelFilter {
	return serving(EncodeFilterType, name, policies.Encode)
}

// LabelSelectorParameters are what the type takes: a label selector as Kubernetes has it.
type LabelSelectorParameters struct {
	// MatchLabels are labels that an endpoint must have.
	MatchLabels map[string]string `json:"matchLabels"`
	// MatchExpressions are conditions that it must meet, all of them.
	MatchExpressions []LabelCondition `json:"matchExpressions"`
}

// LabelCondition is a condition on one label.
type LabelCondition struct {
	// Key is the label, Operator one of In, NotIn, Exists and DoesNotExist, and Values what
	// the first two compare with.
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values"`
}

// LabelSelectorFilterFactory is the factory of [LabelSelectorFilterType].
func LabelSelectorFilterFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	var p LabelSelectorParameters
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	for i, c := range p.MatchExpressions {
		switch {
		case c.Key == "":
			return nil, fmt.Errorf("%w: matchExpressions[%d].key is missing; give the label's name", policies.ErrParameters, i)
		case c.Operator == "In" || c.Operator == "NotIn":
			if len(c.Values) == 0 {
				return nil, fmt.Errorf("%w: matchExpressions[%d].values is missing; give what %s compares with", policies.ErrParameters, i, c.Operator)
			}
		case c.Operator == "Exists" || c.Operator == "DoesNotExist":
		default:
			return nil, fmt.Errorf("%w: matchExpressions[%d].operator is %q, it must be In, NotIn, Exists or DoesNotExist", policies.ErrParameters, i, c.Operator)
		}
	}
	return &LabelFilter{policies.NewNamed(LabelSelectorFilterType, name), p.matches}, nil
}

func (p *LabelSelectorParameters) matches(labels map[string]string) bool {
	for key, want := range p.MatchLabels {
		if value, given := labels[key]; !given || value != want {
			return false
		}
	}
	return !slices.ContainsFunc(p.MatchExpressions, func(c LabelCondition) bool { return !c.met(labels) })
}

func (c *LabelCondition) met(labels map[string]string) bool {
	value, given := labels[c.Key]
	switch c.Operator {
	case "In":
		return given && slices.Contains(c.Values, value)
	case "NotIn":
		return !given || !slices.Contains(c.Values, value)
	case "Exists":
		return given
	}
	return !given
}

// ByLabelParameters are what the type takes.
type ByLabelParameters struct {
	// Label is the label that is looked at.
	Label string `json:"label"`
	// ValidValues are those that it may have.
	ValidValues []string `json:"validValues"`
	// AllowsNoLabel keeps endpoints without the label, too.
	AllowsNoLabel bool `json:"allowsNoLabel"`
}

// ByLabelFilterFactory is the factory of [ByLabelFilterType].
func ByLabelFilterFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	var p ByLabelParameters
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	switch {
	case p.Label == "":
		return nil, fmt.Errorf("%w: label is missing; give the label's name", policies.ErrParameters)
	case len(p.ValidValues) == 0 && !p.AllowsNoLabel:
		return nil, fmt.Errorf("%w: validValues is missing; give what %s may be", policies.ErrParameters, p.Label)
	}
	return &LabelFilter{policies.NewNamed(ByLabelFilterType, name), func(labels map[string]string) bool {
		value, given := labels[p.Label]
		return given && slices.Contains(p.ValidValues, value) || !given && p.AllowsNoLabel
	}}, nil
}

// PrefixAffinityParameters are what the type takes.
type PrefixAffinityParameters struct {
	// AffinityThreshold is the share of the prompt that an endpoint must have cached; 0.8.
	AffinityThreshold float64 `json:"affinityThreshold"`
	// ExplorationProbability is how often the filter keeps all endpoints; 0.
	ExplorationProbability float64 `json:"explorationProbability"`
	// MaxTTFTPenaltyMs is how much longer the prompt may take to be read at an endpoint
	// that has it cached than elsewhere, or all are kept; 18000, 0 for any time.
	MaxTTFTPenaltyMs float64 `json:"maxTTFTPenaltyMs"`
	// PeakPrefillThroughput is how many tokens of prompts an endpoint reads in a second,
	// by which that time is estimated; 15928.
	PeakPrefillThroughput float64 `json:"peakPrefillThroughput"`
	// TTFTSource must be prefillThroughput: no latencies are predicted here.
	TTFTSource string `json:"ttftSource"`
	// PrefixMatchInfoProducerName names the approx-prefix-cache-producer.
	PrefixMatchInfoProducerName string `json:"prefixMatchInfoProducerName"`
	// InFlightLoadProducerName is accepted; the load is always known.
	InFlightLoadProducerName string `json:"inFlightLoadProducerName"`
}

// PrefixAffinity keeps the endpoints that probably have most of the prompt cached, unless
// they are too busy. Where none has, it keeps all.
type PrefixAffinity struct {
	policies.Named
	params PrefixAffinityParameters
}

// PrefixAffinityFactory is the factory of [PrefixAffinityFilterType].
func PrefixAffinityFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p := PrefixAffinityParameters{AffinityThreshold: 0.8, MaxTTFTPenaltyMs: 18_000, PeakPrefillThroughput: 15_928, TTFTSource: "prefillThroughput"}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	switch {
	case !(p.AffinityThreshold > 0 && p.AffinityThreshold <= 1):
		return nil, fmt.Errorf("%w: affinityThreshold is %v, it must be above 0 and at most 1", policies.ErrParameters, p.AffinityThreshold)
	case !(p.ExplorationProbability >= 0 && p.ExplorationProbability <= 1):
		return nil, fmt.Errorf("%w: explorationProbability is %v, it must be from 0 to 1", policies.ErrParameters, p.ExplorationProbability)
	case !(p.MaxTTFTPenaltyMs >= 0):
		return nil, fmt.Errorf("%w: maxTTFTPenaltyMs is %v, it must not be negative", policies.ErrParameters, p.MaxTTFTPenaltyMs)
	case !(p.PeakPrefillThroughput > 0):
		return nil, fmt.Errorf("%w: peakPrefillThroughput is %v, it must be above 0", policies.ErrParameters, p.PeakPrefillThroughput)
	case p.TTFTSource != "prefillThroughput":
		return nil, fmt.Errorf("%w: ttftSource is %q, it must be prefillThroughput: a picker that predicts latencies has others", policies.ErrParameters, p.TTFTSource)
	}
	return &PrefixAffinity{policies.NewNamed(PrefixAffinityFilterType, name), p}, nil
}

// Prefixes implements [policies.PrefixReader].
func (f *PrefixAffinity) Prefixes() policies.PrefixIndexing { return defaultPrefixes() }

// PrefixProducer implements [policies.PrefixConsumer].
func (f *PrefixAffinity) PrefixProducer() string { return f.params.PrefixMatchInfoProducerName }

// CountsTokens implements [policies.TokenCounter].
func (f *PrefixAffinity) CountsTokens() bool { return f.params.MaxTTFTPenaltyMs > 0 }

// KnowsAffinity implements [policies.AffinityKnower].
func (f *PrefixAffinity) KnowsAffinity() bool { return true }

// Keep implements [policies.EndpointFilter].
func (f *PrefixAffinity) Keep(r policies.SchedulingRequest, endpoints []policies.EndpointAccessor, keep []bool) {
	const none = -1
	sticky, other := int64(none), int64(none) // the fewest tokens in flight
	for i, e := range endpoints {
		least := &other
		if keep[i] = r.Cached(e.Address()) >= f.params.AffinityThreshold; keep[i] {
			least = &sticky
		}
		if n := e.InFlightTokens(); *least == none || n < *least {
			*least = n
		}
	}
	longer := float64(sticky-other) / f.params.PeakPrefillThroughput * 1000
	tooBusy := f.params.MaxTTFTPenaltyMs > 0 && other != none && longer > f.params.MaxTTFTPenaltyMs
	if sticky == none || tooBusy || f.params.ExplorationProbability > 0 && rand.Float64() < f.params.ExplorationProbability {
		for i := range keep {
			keep[i] = true
		}
	}
}
