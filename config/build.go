package config

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/eviction"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/policies/scheduling"
	"github.com/weirflow/weir/shard"
)

// builder checks a file and builds its Plan.
type builder struct {
	decoder
	options  Options
	registry *policies.Registry
	files    bool // whether to look at the files that are named
	file     *File
	plan     Plan
	set      *policies.Set
	warnings Problems
	eviction Eviction
	listed   bool // whether a problem lists the types
	declared []policies.Plugin
	unknown  map[string]bool   // plug-ins that were declared and could not be made
	untold   map[string]string // where those of unknown types say so, by name, until it is reported
	named    map[string]string // the types of those declared, by name

	handler   scheduling.ProfileHandler // nil for none
	unlisted  []string                  // paths of what is the profile where none is listed
	left      map[string]bool           // names of those that are for another picker
	leftTypes []string
	producer  *scheduling.ApproxPrefix        // nil for none
	source    *endpoints.MetricsDataSource    // nil for none
	extractor *endpoints.CoreMetricsExtractor // nil for none
}

// at is where a path was given, or the nearest that was. What was given nowhere is
// named by its flag where there is no file to write it into.
func (b *builder) at(path string) place {
	if at, ok := b.places[path]; ok {
		return at
	}
	if flag := flagOf(path); flag != "" && b.fileless() {
		return place{flag: flag}
	}
	if b.overlay.alone(path) {
		return b.overlay.at
	}
	for path != "" {
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
		if at, ok := b.places[path]; ok {
			return place{flag: at.flag, line: at.line, own: at.own}
		}
	}
	return place{}
}

// given reports whether a path was.
func (b *builder) given(path string) bool {
	_, ok := b.places[path]
	return ok
}

// fileless reports whether flags alone say what is wanted.
func (b *builder) fileless() bool { return b.name == "" && b.places[""].line == 0 }

// called is another setting's name in a problem of a path: flags speak of flags.
func (b *builder) called(other, path string) string {
	if flag := flagOf(other); flag != "" && b.at(path).flag != "" {
		return flag
	}
	if b.at(other).own {
		return b.overlay.shown(other)
	}
	return other
}

func (b *builder) wrong(path, format string, args ...any) {
	if at := b.at(path); !at.unread {
		b.failAt(at, path, format, args...)
	}
}

func (b *builder) warn(path, format string, args ...any) {
	d := decoder{name: b.name, overlay: b.overlay}
	d.failAt(b.at(path), path, format, args...)
	b.warnings = append(b.warnings, d.problems...)
}

func (b *builder) build() {
	f := b.file
	if f.Kind != Kind {
		b.wrong("kind", "must be %s", Kind)
	}
	if versions := []string{NewerAPIVersion, APIVersion, OlderAPIVersion}; !slices.Contains(versions, f.APIVersion) {
		b.wrong("apiVersion", "must be %s", alternatives(versions))
	}
	b.featureGates()
	b.plugins()
	b.flowControl()
	b.requestHandler()
	b.dataLayer()
	b.weir()
	b.scheduling()
	b.unknownTypes()
	b.plan.File, b.plan.from = *b.file, b
}

// plugins makes the declared plug-ins.
func (b *builder) plugins() {
	b.eviction = Eviction{eviction.NewSheddable(eviction.SheddableType), eviction.NewPriorityThenTime(eviction.PriorityThenTimeType)}
	for typ, factory := range map[string]policies.Factory{
		endpoints.FileDiscoveryType:        endpoints.FileDiscoveryFactory,
		endpoints.MetricsDataSourceType:    endpoints.MetricsDataSourceFactory,
		endpoints.CoreMetricsExtractorType: endpoints.CoreMetricsExtractorFactory,
	} {
		if err := b.registry.Register(typ, factory); err != nil {
			b.fail(0, "", "%v: Weir itself has this type; register yours under another", err)
		}
	}
	b.set, b.unknown, b.named = policies.NewSet(b.registry), make(map[string]bool), make(map[string]string)
	b.left, b.untold = make(map[string]bool), make(map[string]string)
	for i := range b.file.Plugins {
		b.plugin(indexed("plugins", i), &b.file.Plugins[i])
	}
}

// plugin makes a declared plug-in.
func (b *builder) plugin(path string, p *Plugin) {
	types := b.registry.Types()
	name := cmp.Or(p.Name, p.Type)
	if _, twice := b.named[name]; twice && p.Type != "" {
		b.wrong(path+".name", "a plug-in of this name is declared above")
		return
	}
	b.named[name] = p.Type
	switch {
	case b.leave(name, p.Type):
		return
	case needless[p.Type] != "":
		b.passedOver(path, p.Type)
		return
	case p.Type == "" || !slices.Contains(types, p.Type):
		b.unknown[name] = true
		b.untold[name] = path + ".type" // what refers to it says of which kind it should be
		return
	}
	parameters, err := p.Parameters.JSON()
	if err != nil {
		b.unknown[name] = true
		b.wrong(path+".parameters", "%v", err)
		return
	}
	plugin, err := b.registry.New(p.Type, p.Name, parameters)
	if err != nil {
		b.unknown[name] = true
		b.parameters(path+".parameters", p.Type, p.Parameters, err)
		return
	}
	if err := b.set.Declare(plugin); err != nil {
		panic(err) // another of the name was passed over above
	}
	b.declared = append(b.declared, plugin)
	b.holds(path, plugin)
}

// holds takes up a plug-in that holds when it is declared: nothing refers to it.
func (b *builder) holds(path string, plugin policies.Plugin) {
	second := func(typ string) { b.wrong(path, "is a second %s; keep one", typ) }
	switch p := plugin.(type) {
	case policies.EvictionFilter:
		b.eviction.Filter = p
	case policies.EvictionOrder:
		b.eviction.Order = p
	case *endpoints.MetricsDataSource:
		if b.source != nil {
			second(endpoints.MetricsDataSourceType)
		}
		b.source = p
	case *endpoints.CoreMetricsExtractor:
		if b.extractor != nil {
			second(endpoints.CoreMetricsExtractorType)
		}
		b.extractor = p
	case *scheduling.ApproxPrefix:
		if b.producer != nil {
			second(scheduling.ApproxPrefixType)
		}
		b.producer = p
	case scheduling.ProfileHandler:
		if b.handler != nil {
			second("profile handler")
		}
		b.handler = p
	}
}

func (b *builder) flowControl() {
	fc := &b.file.FlowControl
	b.notNegative("flowControl.maxBytes", fc.MaxBytes)
	b.notNegative("flowControl.maxRequests", fc.MaxRequests)
	b.waiting("flowControl.defaultRequestTTL", fc.DefaultRequestTTL)
	b.waiting("flowControl.noEndpointRequestTTL", fc.NoEndpointRequestTTL)
	b.plan.UsageLimit = refer(b, "flowControl.usageLimitPolicyPluginRef", fc.UsageLimitPolicyPluginRef, "usage limit policy", b.set.UsageLimit)
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
			b.warn("saturationDetector", "is given in flowControl, too, which holds")
		} else {
			b.warn("saturationDetector", "today's EPPs refuse it here; write it into flowControl")
			path, ref = "saturationDetector", older
		}
	}
	if ref == nil || ref.PluginRef == "" {
		ref = &PluginRef{saturation.WhereReadableType}
	}
	b.file.SaturationDetector, b.file.FlowControl.SaturationDetector = nil, ref
	b.plan.Detector = refer(b, path+".pluginRef", ref.PluginRef, "saturation detector", b.set.Saturation)
}

func (b *builder) bands() {
	fc := &b.file.FlowControl
	usual := b.band("flowControl.defaultPriorityBand", fc.DefaultPriorityBand)
	const path = "flowControl.defaultPriorityBand.fairnessPolicyRef"
	if fc.DefaultPriorityBand.FairnessPolicyRef == fairness.GlobalStrictType && !b.given(path) && !b.fileless() {
		b.warn(path, "it is not given, and the default of a file, %s, does not keep tenants apart; %s does", fairness.GlobalStrictType, fairness.RoundRobinType)
	}
	negative := usual
	if b.given("flowControl.defaultNegativePriorityBand") {
		negative = b.band("flowControl.defaultNegativePriorityBand", fc.DefaultNegativePriorityBand)
	}
	own := make(map[int]shard.BandConfig)
	for i := range fc.PriorityBands {
		p := &fc.PriorityBands[i]
		path := indexed("flowControl.priorityBands", i)
		if !b.given(path + ".priority") {
			b.wrong(path, "priority is missing; give the band's number")
		}
		b.priority(path+".priority", p.Priority)
		if _, twice := own[p.Priority]; twice {
			b.wrong(path+".priority", "the band of this priority is listed above")
		}
		own[p.Priority] = b.band(path, &p.Band)
	}
	b.plan.Bands, b.plan.Default, b.plan.Negative = own, usual, negative
}

// band builds a band.
func (b *builder) band(path string, c *Band) shard.BandConfig {
	b.notNegative(path+".maxBytes", c.MaxBytes)
	b.notNegative(path+".maxRequests", c.MaxRequests)
	ttl := cmp.Or(c.DefaultRequestTTL, b.file.FlowControl.DefaultRequestTTL)
	b.waiting(path+".defaultRequestTTL", c.DefaultRequestTTL)
	return shard.BandConfig{
		MaxRequests: int64(c.MaxRequests), MaxBytes: int64(c.MaxBytes), TTL: (*time.Duration)(ttl),
		Fairness: refer(b, path+".fairnessPolicyRef", c.FairnessPolicyRef, fairnessPolicy, b.set.Fairness),
		Ordering: refer(b, path+".orderingPolicyRef", c.OrderingPolicyRef, "ordering policy", b.set.Ordering),
	}
}

func (b *builder) notNegative(path string, q Quantity) {
	if q < 0 {
		b.wrong(path, "must not be negative; leave it out for the default")
	}
}

// waiting checks how long a request may wait; nil for what is not given.
func (b *builder) waiting(path string, ttl *Duration) {
	if ttl != nil && *ttl < 0 {
		b.wrong(path, "must not be negative; give a time such as 60s, or 0s for no limit")
	}
}
