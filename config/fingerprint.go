package config

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies/saturation"
)

// sharedField is a field that is compared between replicas.
type sharedField struct {
	key, path string
	value     func(*Plan) any
}

// shared are the fields by which replicas decide for the one pool, and that should
// therefore say the same at all of them. Keys are gossiped: they are short, and never
// used again for another field.
var shared = []sharedField{
	{"mr", "flowControl.maxRequests", func(p *Plan) any { return p.File.FlowControl.MaxRequests }},
	{"mb", "flowControl.maxBytes", func(p *Plan) any { return p.File.FlowControl.MaxBytes }},
	{"tt", "flowControl.defaultRequestTTL", func(p *Plan) any { return p.File.FlowControl.DefaultRequestTTL }},
	{"tn", "flowControl.noEndpointRequestTTL", func(p *Plan) any { return p.File.FlowControl.NoEndpointRequestTTL }},
	{"bd", "flowControl.defaultPriorityBand", func(p *Plan) any { return p.defaultBand(p.File.FlowControl.DefaultPriorityBand) }},
	{"bn", "flowControl.defaultNegativePriorityBand", func(p *Plan) any { return p.defaultBand(p.File.FlowControl.DefaultNegativePriorityBand) }},
	{"bp", "flowControl.priorityBands", (*Plan).priorityBands},
	{"ul", "flowControl.usageLimitPolicyPluginRef", func(p *Plan) any { return p.plugin(p.File.FlowControl.UsageLimitPolicyPluginRef) }},
	{"sd", "flowControl.saturationDetector", (*Plan).detector},
	{"ev", "flowControl.enableEviction", func(p *Plan) any { return p.File.FlowControl.EnableEviction }},
	{"sh", "weir.shadow", func(p *Plan) any { return p.File.Weir.Shadow }},
	{"ob", "weir.objectives", func(p *Plan) any { return p.File.Weir.Objectives }},
	{"fl", "weir.flows", func(p *Plan) any { return p.File.Weir.Flows }},
	{"bs", "weir.bands", func(p *Plan) any { return p.File.Weir.Bands }},
	{"bw", "weir.bandPolicy", func(p *Plan) any { return p.plugin(p.File.Weir.BandPolicy) }},
	{"gr", "weir.groups", func(p *Plan) any { return p.File.Weir.Groups }},
	{"mf", "weir.maxFlows", func(p *Plan) any { return p.File.Weir.MaxFlows }},
	{"cw", "weir.cachedTokenWeight", func(p *Plan) any { return p.File.Weir.CachedTokenWeight }},
	{"nc", "weir.newcomers", func(p *Plan) any { return p.File.Weir.Newcomers }},
	{"ak", "weir.identity.apiKeys", (*Plan).keys},
	{"le", "weir.store.lease", func(p *Plan) any { return p.File.Weir.Store.Lease }},
	{"kl", "weir.store.keepLost", func(p *Plan) any { return p.File.Weir.Store.KeepLost }},
	{"oo", "weir.store.onOutage", func(p *Plan) any { return p.File.Weir.Store.OnOutage }},
}

// Settings are fingerprints of what should be the same at all replicas of a pool.
func (p *Plan) Settings() ([]coordinator.Setting, error) {
	settings := make([]coordinator.Setting, 0, len(shared))
	for _, s := range shared {
		text, err := yaml.Marshal(s.value(p))
		if err != nil {
			return nil, fmt.Errorf("fingerprint %s: %w", s.path, err)
		}
		sum := sha256.Sum256(text)
		settings = append(settings, coordinator.Setting{Key: s.key, Path: s.path, Print: base64.RawURLEncoding.EncodeToString(sum[:3])})
	}
	return settings, nil
}

// plugin is what a reference means: names are each file's own.
func (p *Plan) plugin(ref string) any {
	for i := range p.File.Plugins {
		declared := &p.File.Plugins[i]
		if declared.Name == ref || declared.Name == "" && declared.Type == ref {
			return []any{declared.Type, declared.Parameters}
		}
	}
	return []any{ref, nil}
}

func (p *Plan) defaultBand(b *DefaultBand) any {
	if b == nil {
		return nil
	}
	return p.band(&b.Band)
}

func (p *Plan) band(b *Band) any {
	ttl := cmp.Or(b.DefaultRequestTTL, p.File.FlowControl.DefaultRequestTTL)
	return []any{b.MaxBytes, b.MaxRequests, ttl, p.plugin(b.FairnessPolicyRef), p.plugin(b.OrderingPolicyRef)}
}

func (p *Plan) priorityBands() any {
	bands := make(map[int]any)
	for i := range p.File.FlowControl.PriorityBands {
		b := &p.File.FlowControl.PriorityBands[i]
		bands[b.Priority] = p.band(&b.Band)
	}
	return bands
}

func (p *Plan) detector() any {
	d := p.File.FlowControl.SaturationDetector
	if d == nil {
		return nil
	}
	most, several := p.Detector.(*saturation.Max)
	if !several {
		return p.plugin(d.PluginRef)
	}
	detectors := []any{saturation.MaxType}
	for _, name := range most.Names() {
		detectors = append(detectors, p.plugin(name), most.Stages(name))
	}
	return detectors
}

// keys are whose API keys there are: by their hashes, of which a fingerprint tells
// nothing.
func (p *Plan) keys() any {
	var keys [][]byte
	for sum, flow := range p.Keys {
		keys = append(keys, append(sum[:], flow...))
	}
	slices.SortFunc(keys, bytes.Compare)
	return keys
}
