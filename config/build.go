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
	assembly
	plan Plan
}

// reporter says what is wrong with what was given, and where that was.
type reporter struct {
	decoder
	warnings Problems
}

// checks says what single values may be.
type checks struct {
	reporter
	options Options
	files   bool // whether to look at the files that are named
}

// assembly makes the plug-ins that a file declares, and finds those that it refers to.
type assembly struct {
	checks
	file     *File
	registry *policies.Registry
	set      *policies.Set
	eviction Eviction
	listed   bool // whether a problem lists the types
	declared []policies.Plugin
	unknown  map[string]bool   // plug-ins that were declared and could not be made
	untold   map[string]string // where those of unknown types say so, by name, until it is reported
	named    map[string]string // the types of those declared, by name

	handler   scheduling.ProfileHandler // nil for none
	unlisted  []string                  // paths of what is the profile where none is listed
	older     string                    // path of what an older section declares, which has its parameters; empty for none
	left      map[string]bool           // names of those that are for another picker
	leftTypes []string
	producer  *scheduling.ApproxPrefix        // nil for none
	source    *endpoints.MetricsDataSource    // nil for none
	extractor *endpoints.CoreMetricsExtractor // nil for none
}

// at is where a path was given, or the nearest that was. What was given nowhere is
// named by its flag where there is no file to write it into.
func (r *reporter) at(path string) place {
	if at, ok := r.places[path]; ok {
		return at
	}
	if flag := flagOf(path); flag != "" && r.fileless() {
		return place{flag: flag}
	}
	if r.overlay.alone(path) {
		return r.overlay.at
	}
	for path != "" {
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
		if at, ok := r.places[path]; ok {
			return place{flag: at.flag, line: at.line, own: at.own, unread: at.unread}
		}
	}
	return place{}
}

// given reports whether a path was.
func (r *reporter) given(path string) bool {
	_, ok := r.places[path]
	return ok
}

// fileless reports whether flags alone say what is wanted.
func (r *reporter) fileless() bool { return r.name == "" && r.places[""].line == 0 }

// called is another setting's name in a problem of a path: flags speak of flags.
func (r *reporter) called(other, path string) string {
	if flag := flagOf(other); flag != "" && r.at(path).flag != "" {
		return flag
	}
	if r.at(other).own {
		return r.overlay.shown(other)
	}
	return other
}

func (r *reporter) wrong(path, format string, args ...any) {
	if at := r.at(path); !at.unread {
		r.failAt(at, path, format, args...)
	}
}

func (r *reporter) warn(path, format string, args ...any) {
	d := decoder{name: r.name, overlay: r.overlay}
	d.failAt(r.at(path), path, format, args...)
	r.warnings = append(r.warnings, d.problems...)
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
	b.olderDetector()
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
func (a *assembly) plugins() {
	a.eviction = Eviction{eviction.NewSheddable(eviction.SheddableType), eviction.NewPriorityThenTime(eviction.PriorityThenTimeType)}
	for typ, factory := range map[string]policies.Factory{
		endpoints.FileDiscoveryType:        endpoints.FileDiscoveryFactory,
		endpoints.MetricsDataSourceType:    endpoints.MetricsDataSourceFactory,
		endpoints.CoreMetricsExtractorType: endpoints.CoreMetricsExtractorFactory,
	} {
		if err := a.registry.Register(typ, factory); err != nil {
			a.fail(0, "", "%v: Weir itself has this type; register yours under another", err)
		}
	}
	a.set, a.unknown, a.named = policies.NewSet(a.registry), make(map[string]bool), make(map[string]string)
	a.left, a.untold = make(map[string]bool), make(map[string]string)
	for i := range a.file.Plugins {
		a.plugin(indexed("plugins", i), &a.file.Plugins[i])
	}
	for _, p := range a.declared {
		if d, ok := p.(*saturation.Max); ok {
			a.detectorsOf(d)
		}
	}
}

// detectorsOf looks up the detectors that another one asks, wherever they are declared.
func (a *assembly) detectorsOf(d *saturation.Max) {
	var of []policies.SaturationDetector
	path := a.declaredAt(d) + ".parameters.detectors"
	for i, name := range d.Names() {
		at := indexed(path, i)
		detector := refer(a, at, name, "saturation detector", a.set.Saturation)
		if _, nested := detector.(*saturation.Max); nested {
			a.wrong(at, "%q asks others itself; name those", name)
		} else if detector != nil {
			of = append(of, detector)
		}
	}
	d.Of(of...)
}

// plugin makes a declared plug-in.
func (a *assembly) plugin(path string, p *Plugin) {
	types := a.registry.Types()
	name := cmp.Or(p.Name, p.Type)
	if _, twice := a.named[name]; twice && p.Type != "" {
		a.wrong(path+".name", "a plug-in of this name is declared above")
		return
	}
	if name == "" {
		a.noType(path+".type", "", types)
		return
	}
	a.named[name] = p.Type
	switch {
	case a.leave(name, p.Type):
		return
	case needless[p.Type] != "":
		a.passedOver(path, p.Type)
		return
	case p.Type == "" || !slices.Contains(types, p.Type):
		a.unknown[name] = true
		a.untold[name] = path + ".type" // what refers to it says of which kind it should be
		return
	}
	parameters, err := p.Parameters.JSON()
	if err != nil {
		a.unknown[name] = true
		a.wrong(path+".parameters", "%v", err)
		return
	}
	plugin, err := a.registry.New(p.Type, p.Name, parameters)
	if err != nil {
		a.unknown[name] = true
		a.parameters(path+".parameters", p.Type, p.Parameters, err)
		return
	}
	if err := a.set.Declare(plugin); err != nil {
		panic(err) // another of the name was passed over above
	}
	a.declared = append(a.declared, plugin)
	if p.Type == scheduling.PrecisePrefixType || p.Type == scheduling.PrecisePrefixCacheType {
		a.warn(path, "Weir reads no events of KV caches: it judges what is cached by where earlier prompts went")
	}
	a.holds(path, plugin)
}

// holds takes up a plug-in that holds when it is declared: nothing refers to it.
func (a *assembly) holds(path string, plugin policies.Plugin) {
	second := func(typ string) { a.wrong(path, "is a second %s; keep one", typ) }
	switch p := plugin.(type) {
	case policies.EvictionFilter:
		a.eviction.Filter = p
	case policies.EvictionOrder:
		a.eviction.Order = p
	case *endpoints.MetricsDataSource:
		if a.source != nil {
			second(endpoints.MetricsDataSourceType)
		}
		a.source = p
	case *endpoints.CoreMetricsExtractor:
		if a.extractor != nil {
			second(endpoints.CoreMetricsExtractorType)
		}
		a.extractor = p
	case *scheduling.ApproxPrefix:
		a.prefixes(path, p)
	case scheduling.ProfileHandler:
		if a.handler != nil {
			second("profile handler")
		}
		a.handler = p
	}
}

// prefixes takes up how prompts are remembered. There is one index: of several producers the one
// that assumes the largest caches holds.
func (a *assembly) prefixes(path string, p *scheduling.ApproxPrefix) {
	size := func(p *scheduling.ApproxPrefix) int { return p.Prefixes().BlockSize * p.Prefixes().PerEndpoint }
	if a.producer != nil {
		a.warn(path, "is a second producer: prompts are remembered once, in caches as large as the larger of them assumes")
		if size(p) <= size(a.producer) {
			return
		}
	}
	a.producer = p
}

func (b *builder) flowControl() {
	fc := &b.file.FlowControl
	b.notNegative("flowControl.maxBytes", fc.MaxBytes)
	b.notNegative("flowControl.maxRequests", fc.MaxRequests)
	b.waiting("flowControl.defaultRequestTTL", fc.DefaultRequestTTL)
	b.waiting("flowControl.noEndpointRequestTTL", fc.NoEndpointRequestTTL)
	b.plan.UsageLimit = refer(&b.assembly, "flowControl.usageLimitPolicyPluginRef", fc.UsageLimitPolicyPluginRef, "usage limit policy", b.set.UsageLimit)
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
			path, ref = "saturationDetector", &PluginRef{older.PluginRef}
		}
	}
	if ref == nil || ref.PluginRef == "" {
		ref = &PluginRef{saturation.WhereReadableType}
	}
	b.file.SaturationDetector, b.file.FlowControl.SaturationDetector = nil, ref
	b.plan.Detector = refer(&b.assembly, path+".pluginRef", ref.PluginRef, "saturation detector", b.set.Saturation)
}

func (b *builder) bands() {
	fc := &b.file.FlowControl
	usual := b.defaultBand("flowControl.defaultPriorityBand", fc.DefaultPriorityBand)
	const path = "flowControl.defaultPriorityBand.fairnessPolicyRef"
	if fc.DefaultPriorityBand.FairnessPolicyRef == fairness.GlobalStrictType && !b.given(path) && !b.fileless() {
		b.warn(path, "it is not given, and the default of a file, %s, does not keep tenants apart; %s does", fairness.GlobalStrictType, fairness.RoundRobinType)
	}
	negative := usual
	if b.given("flowControl.defaultNegativePriorityBand") {
		negative = b.defaultBand("flowControl.defaultNegativePriorityBand", fc.DefaultNegativePriorityBand)
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

// defaultBand builds what holds for the bands that are not listed.
func (a *assembly) defaultBand(path string, c *DefaultBand) shard.BandConfig {
	if c.Priority != nil {
		a.warn(path+".priority", "has no effect: the section is for all priorities that priorityBands does not list")
		c.Priority = nil
	}
	return a.band(path, &c.Band)
}

// band builds a band.
func (a *assembly) band(path string, c *Band) shard.BandConfig {
	a.notNegative(path+".maxBytes", c.MaxBytes)
	a.notNegative(path+".maxRequests", c.MaxRequests)
	ttl := cmp.Or(c.DefaultRequestTTL, a.file.FlowControl.DefaultRequestTTL)
	a.waiting(path+".defaultRequestTTL", c.DefaultRequestTTL)
	return shard.BandConfig{
		MaxRequests: int64(c.MaxRequests), MaxBytes: int64(c.MaxBytes), TTL: (*time.Duration)(ttl),
		Fairness: refer(a, path+".fairnessPolicyRef", c.FairnessPolicyRef, fairnessPolicy, a.set.Fairness),
		Ordering: refer(a, path+".orderingPolicyRef", c.OrderingPolicyRef, "ordering policy", a.set.Ordering),
	}
}

func (c *checks) notNegative(path string, q Quantity) {
	if q < 0 {
		c.wrong(path, "must not be negative; leave it out for the default")
	}
}

// waiting checks how long a request may wait; nil for what is not given.
func (c *checks) waiting(path string, ttl *Duration) {
	if ttl != nil && *ttl < 0 {
		c.wrong(path, "must not be negative; give a time such as 60s, or 0s for no limit")
	}
}
