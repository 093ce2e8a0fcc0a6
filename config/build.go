package config

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/eviction"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/policies/usagelimit"
	"github.com/weirflow/weir/shard"
)

// Plan is what a file asks for, with the defaults filled in.
type Plan struct {
	// File is the file with its defaults.
	File File
	// Bands are those of their own, by priority; Default and Negative are the
	// others'.
	Bands             map[int]shard.BandConfig
	Default, Negative shard.BandConfig

	UsageLimit policies.UsageLimitPolicy
	Detector   policies.SaturationDetector
	// Profile says which endpoint a request goes to.
	Profile endpoints.Profile
	// Eviction says what may be revoked; nil for nothing.
	Eviction *Eviction
	// Flows are the settings of flows, and Keys the flows by the SHA-256 of their
	// API keys; nil when the fairness header is trusted.
	Flows Flows
	Keys  map[[sha256.Size]byte]string
}

// Eviction is the policies of eviction.
type Eviction struct {
	Filter policies.EvictionFilter
	Order  policies.EvictionOrder
}

// builder checks a file and builds its Plan.
type builder struct {
	decoder
	registry *policies.Registry
	file     File
	plan     Plan
	set      *policies.Set
	warnings Problems
	eviction Eviction
	unknown  map[string]bool // plug-ins that were declared and could not be made
}

// at is the line of a path, or of the nearest that the file has.
func (b *builder) at(path string) int {
	for path != "" {
		if line, ok := b.lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return b.lines[""]
}

func (b *builder) wrong(path, format string, args ...any) { b.fail(b.at(path), path, format, args...) }

func (b *builder) warn(path, text string) {
	b.warnings = append(b.warnings, Problem{Line: b.at(path), Path: path, Text: text})
}

func (b *builder) build() {
	f := &b.file
	if f.Kind != Kind {
		b.wrong("kind", "%q is given, it must be %s", f.Kind, Kind)
	}
	if f.APIVersion != APIVersion && f.APIVersion != OlderAPIVersion {
		b.wrong("apiVersion", "%q is given, it must be %s or %s", f.APIVersion, APIVersion, OlderAPIVersion)
	}
	if len(f.FeatureGates) > 0 {
		b.warn("featureGates", "flow control is always on: gates have no effect")
	}
	b.plugins()
	b.flowControl()
	b.weir()
	b.scheduling()
	b.plan.File = b.file
}

// plugins makes the declared plug-ins.
func (b *builder) plugins() {
	b.eviction = Eviction{eviction.NewSheddable(eviction.SheddableType), eviction.NewPriorityThenTime(eviction.PriorityThenTimeType)}
	registry := b.registry
	if err := registry.Register(endpoints.FileDiscoveryType, endpoints.FileDiscoveryFactory); err != nil {
		b.fail(0, "", "%v: Weir itself has this type; register yours under another", err)
	}
	b.set, b.unknown = policies.NewSet(registry), make(map[string]bool)
	types, told := registry.Types(), false
	for i := range b.file.Plugins {
		p := &b.file.Plugins[i]
		path := indexed("plugins", i)
		name := cmp.Or(p.Name, p.Type)
		if p.Type == "" || !slices.Contains(types, p.Type) && !needless[p.Type] {
			what := "is missing"
			if p.Type != "" {
				what = fmt.Sprintf("unknown type %q", p.Type)
			}
			if !told {
				what += "; known types: " + strings.Join(types, ", ")
			}
			told, b.unknown[name] = true, true
			b.wrong(path+".type", "%s", what)
			continue
		}
		if needless[p.Type] {
			b.warn(path, "Weir needs no plug-in of type "+p.Type+": it has no effect")
			continue
		}
		parameters, err := p.Parameters.JSON()
		if err != nil {
			b.unknown[name] = true
			b.wrong(path+".parameters", "%v", err)
			continue
		}
		plugin, err := registry.New(p.Type, p.Name, parameters)
		if err != nil {
			b.unknown[name] = true
			b.wrong(path+".parameters", "%v", err)
			continue
		}
		if err := b.set.Declare(plugin); err != nil {
			b.wrong(path+".name", "%v", err)
		}
		switch p := plugin.(type) { // nothing refers to these: they hold when declared
		case policies.EvictionFilter:
			b.eviction.Filter = p
		case policies.EvictionOrder:
			b.eviction.Order = p
		}
	}
}

// needless are types that a file of today's EPP may declare for what Weir does
// without being told.
var needless = map[string]bool{
	"openai-parser": true, "metrics-data-source": true, "core-metrics-extractor": true, "in-flight-load-producer": true,
}

func (b *builder) flowControl() {
	fc := &b.file.FlowControl
	b.notNegative("flowControl.maxBytes", fc.MaxBytes)
	b.notNegative("flowControl.maxRequests", fc.MaxRequests)
	minute := Duration(time.Minute)
	if fc.DefaultRequestTTL == nil {
		fc.DefaultRequestTTL = &minute
	}
	if fc.NoEndpointRequestTTL == nil {
		fc.NoEndpointRequestTTL = fc.DefaultRequestTTL
	}
	for path, ttl := range map[string]Duration{
		"flowControl.defaultRequestTTL": *fc.DefaultRequestTTL, "flowControl.noEndpointRequestTTL": *fc.NoEndpointRequestTTL,
	} {
		if ttl < 0 {
			b.wrong(path, "%v is negative; give a time such as 60s, or 0s for no limit", ttl)
		}
	}
	if fc.UsageLimitPolicyPluginRef == "" {
		fc.UsageLimitPolicyPluginRef = usagelimit.StaticType
	}
	b.plan.UsageLimit = refer(b, "flowControl.usageLimitPolicyPluginRef", fc.UsageLimitPolicyPluginRef, b.set.UsageLimit)
	if fc.EnableEviction {
		b.plan.Eviction = &b.eviction
	}
	b.detector()
	b.bands()
}

func (b *builder) detector() {
	path := "flowControl.saturationDetector"
	ref := b.file.FlowControl.SaturationDetector
	if older := b.file.SaturationDetector; older != nil {
		if ref != nil {
			b.wrong("saturationDetector", "is given here and in flowControl; keep the one in flowControl")
		}
		path, ref = "saturationDetector", older
	}
	if ref == nil {
		ref = &PluginRef{saturation.UtilizationType}
	}
	b.file.SaturationDetector, b.file.FlowControl.SaturationDetector = nil, ref
	b.plan.Detector = refer(b, path+".pluginRef", ref.PluginRef, b.set.Saturation)
}

func (b *builder) bands() {
	fc := &b.file.FlowControl
	if fc.DefaultPriorityBand == nil {
		fc.DefaultPriorityBand = &Band{}
	}
	usual := b.band("flowControl.defaultPriorityBand", fc.DefaultPriorityBand)
	given := fc.DefaultNegativePriorityBand != nil
	if !given {
		same := *fc.DefaultPriorityBand
		fc.DefaultNegativePriorityBand = &same
	}
	negative := usual
	if given {
		negative = b.band("flowControl.defaultNegativePriorityBand", fc.DefaultNegativePriorityBand)
	}
	own := make(map[int]shard.BandConfig)
	for i := range fc.PriorityBands {
		p := &fc.PriorityBands[i]
		path := indexed("flowControl.priorityBands", i)
		if _, ok := b.lines[path+".priority"]; !ok {
			b.wrong(path, "priority is missing; give the band's number")
		}
		if _, twice := own[p.Priority]; twice {
			b.wrong(path+".priority", "the band of priority %d is listed twice", p.Priority)
		}
		own[p.Priority] = b.band(path, &p.Band)
	}
	b.plan.Bands, b.plan.Default, b.plan.Negative = own, usual, negative
}

// band fills a band's defaults in and builds it.
func (b *builder) band(path string, c *Band) shard.BandConfig {
	b.notNegative(path+".maxBytes", c.MaxBytes)
	b.notNegative(path+".maxRequests", c.MaxRequests)
	if c.MaxBytes == 0 {
		c.MaxBytes = 1e9
	}
	if c.MaxRequests == 0 {
		c.MaxRequests = 5000
	}
	if c.FairnessPolicyRef == "" {
		c.FairnessPolicyRef = fairness.GlobalStrictType
	}
	if c.OrderingPolicyRef == "" {
		c.OrderingPolicyRef = ordering.FCFSType
	}
	return shard.BandConfig{
		MaxRequests: int64(c.MaxRequests), MaxBytes: int64(c.MaxBytes),
		Fairness: refer(b, path+".fairnessPolicyRef", c.FairnessPolicyRef, b.set.Fairness),
		Ordering: refer(b, path+".orderingPolicyRef", c.OrderingPolicyRef, b.set.Ordering),
	}
}

// refer looks a plug-in up.
func refer[P any](b *builder, path, ref string, lookup func(string) (P, error)) P {
	p, err := lookup(ref)
	if err != nil {
		b.unresolved(path, ref, err)
	}
	return p
}

// unresolved says that a reference leads nowhere, unless what it leads to was declared
// and is known to be wrong.
func (b *builder) unresolved(path, ref string, err error) {
	if !b.unknown[ref] || !errors.Is(err, policies.ErrUnknownPlugin) {
		b.wrong(path, "%v", err)
	}
}

func (b *builder) notNegative(path string, q Quantity) {
	if q < 0 {
		b.wrong(path, "%d is negative; leave it out for the default", q)
	}
}

// address checks an address to listen on or to connect to.
func (b *builder) address(path, address string) {
	if address == "" {
		return
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		b.wrong(path, "%q is no address; give host and port, such as 127.0.0.1:8080", address)
	}
}
