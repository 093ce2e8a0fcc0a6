package config

import (
	"cmp"
	"net/url"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies/scheduling"
)

// DataLayer is the section of that name.
type DataLayer struct {
	InjectDefaults *bool          `yaml:"injectDefaults,omitempty" doc:"Accepted; what is needed of the endpoints' metrics is always read"`
	Sources        []DataSource   `yaml:"sources,omitempty" doc:"Where the endpoints' metrics are read, and by which names"`
	Discovery      *DataDiscovery `yaml:"discovery,omitempty" doc:"A file-discovery plug-in: endpoints without Kubernetes"`
	PeerDiscovery  *PluginRef     `yaml:"peerDiscovery,omitempty" doc:"Accepted; see weir.fleet"`

	CrossReplica                *Raw      `yaml:"crossReplica,omitempty" doc:"Accepted; see weir.store"`
	CrossReplicaSyncerPluginRef string    `yaml:"crossReplicaSyncerPluginRef,omitempty" doc:"Older form of crossReplica"`
	CrossReplicaSyncInterval    *Duration `yaml:"crossReplicaSyncInterval,omitempty" doc:"Older form of crossReplica"`
	CrossReplicaPublishTimeout  *Duration `yaml:"crossReplicaPublishTimeout,omitempty" doc:"Older form of crossReplica"`
}

// DataSource is where endpoints' figures are read.
type DataSource struct {
	PluginRef  string      `yaml:"pluginRef" doc:"Name of a declared metrics-data-source, or a type"`
	Extractors []PluginRef `yaml:"extractors,omitempty" doc:"What is made of what was read: a core-metrics-extractor"`
}

// DataDiscovery says where endpoints come from.
type DataDiscovery struct {
	PluginRef string     `yaml:"pluginRef,omitempty" doc:"Older form of endpoints"`
	Endpoints *PluginRef `yaml:"endpoints,omitempty" doc:"Name of a declared file-discovery plug-in"`
	Peers     *PluginRef `yaml:"peers,omitempty" doc:"Accepted; see weir.fleet"`
}

// dataLayer builds the section.
func (a *assembly) dataLayer() {
	d, section := a.file.DataLayer, "dataLayer"
	if older := a.file.Data; older != nil {
		a.warn("data", "is an older name, which today's EPPs refuse; call it dataLayer")
		if d != nil {
			a.wrong("data", "dataLayer says the same; keep that")
		} else {
			d, section = older, "data"
			a.file.DataLayer = older
		}
		a.file.Data = nil
	}
	if d == nil {
		return
	}
	for path, given := range map[string]bool{
		".injectDefaults": d.InjectDefaults != nil, ".peerDiscovery": d.PeerDiscovery != nil,
		".crossReplica": d.CrossReplica != nil, ".crossReplicaSyncerPluginRef": d.CrossReplicaSyncerPluginRef != "",
		".crossReplicaSyncInterval": d.CrossReplicaSyncInterval != nil, ".crossReplicaPublishTimeout": d.CrossReplicaPublishTimeout != nil,
		".discovery.peers": d.Discovery != nil && d.Discovery.Peers != nil,
	} {
		if given {
			a.warn(section+path, "Weir does this without being told: it has no effect")
		}
	}
	for i := range d.Sources {
		from, path := &d.Sources[i], indexed(section+".sources", i)
		a.reads(path+".pluginRef", from.PluginRef, source, endpoints.MetricsDataSourceType)
		for k := range from.Extractors {
			a.reads(indexed(path+".extractors", k)+".pluginRef", from.Extractors[k].PluginRef, extractor, endpoints.CoreMetricsExtractorType)
		}
	}
	if d.Discovery != nil {
		a.fileDiscovery(section+".discovery", d.Discovery)
	}
}

// reads checks that a reference leads to what reads endpoints' figures, of the only type that
// there is of its kind, or of one that Weir needs not.
func (a *assembly) reads(path, ref, kind, only string) {
	typ, ok := a.declares(path, ref, kind)
	if typ == scheduling.PrecisePrefixType && kind == extractor {
		return // it would read events there
	}
	if ok && typ != only && needless[typ] != kind && !a.elsewhere() {
		a.wrong(path, "is of type %s, which is no %s; there is %s", typ, kind, only)
	}
}

// fileDiscovery finds the file that a discovery plug-in names.
func (a *assembly) fileDiscovery(section string, d *DataDiscovery) {
	path, ref := section+".pluginRef", d.PluginRef
	if e := d.Endpoints; e != nil {
		if ref != "" {
			a.wrong(path, "%s.endpoints says the same; keep that", section)
		}
		path, ref = section+".endpoints.pluginRef", e.PluginRef
	}
	if ref == "" && d.Peers != nil {
		return
	}
	plugin, err := a.set.Named(ref)
	file, ok := plugin.(*endpoints.FileDiscovery)
	if !ok {
		switch {
		case ref == "":
			a.wrong(path, "is missing; name a plug-in of type %s that is declared in plugins", endpoints.FileDiscoveryType)
		case a.unknown[ref]: // it was declared, and is known to be wrong
		case err != nil && !a.left[ref]:
			a.wrong(path, "no such plug-in is declared in plugins; declare one of type %s", endpoints.FileDiscoveryType)
		default:
			a.wrong(path, "must be of type %s, the only discovery there is here; see weir.discovery for others", endpoints.FileDiscoveryType)
		}
		return
	}
	if w := &a.file.Weir.Discovery; w.File == "" {
		w.File, w.Once = file.Path, !file.WatchFile
	} else {
		a.wrong(path, "weir.discovery names a file, too; keep one of them")
	}
}

// metrics finds out where model servers' metrics are and what they are called: as weir.metrics
// says, or else a metrics-data-source and a core-metrics-extractor.
func (b *builder) metrics() {
	m := &b.file.Weir.Metrics
	if m.Port < 0 || m.Port > 65535 {
		b.wrong("weir.metrics.port", "must be from 1 to 65535; leave it out for the endpoint's own")
	}
	if m.Path != "" {
		if u, err := url.Parse(m.Path); err != nil || u.Path != m.Path || !printable(m.Path) || strings.Contains(m.Path, " ") {
			b.wrong("weir.metrics.path", "must be a path alone, such as /metrics")
		}
	}
	b.label("weir.metrics.engineLabel", m.EngineLabel)
	for name, metric := range map[string]string{"waiting": m.Waiting, "running": m.Running, "kvCacheUsage": m.KVCacheUsage, "lora": m.LoRA} {
		if metric != "" && !endpoints.IsMetric(metric) {
			b.wrong("weir.metrics."+name, "must be the name of a metric, such as vllm:num_requests_waiting, or one with a label, such as name{label=value}")
		}
	}
	if s := b.source; s != nil {
		m.Path, m.Scheme, m.Port = cmp.Or(m.Path, s.Path), cmp.Or(m.Scheme, s.Scheme), cmp.Or(m.Port, s.Port)
		m.InsecureSkipVerify = m.InsecureSkipVerify || s.InsecureSkipVerify && m.Scheme == "https"
		if s.Interval > 0 && !b.given("weir.metrics.interval") {
			m.Interval = (*Duration)(&s.Interval)
		}
	}
	if *m.Interval < Duration(10*time.Millisecond) || *m.Interval > Duration(time.Minute) {
		b.wrong("weir.metrics.interval", "must be from 10ms to 1m")
	}
	engines := endpoints.Engines{}
	if e := b.extractor; e != nil {
		engines = e.Engines
		if !b.given("weir.metrics.server") {
			m.Server = e.DefaultEngine
		}
	}
	if m.EngineLabel == "" {
		m.EngineLabel = cmp.Or(engines.Label, endpoints.EngineLabel)
	}
	engines.Label = m.EngineLabel
	names, _ := engines.Names(m.Server) // it is one of those that it may be, or the extractor knows it
	fallback(&m.Waiting, names.Waiting)
	fallback(&m.Running, names.Running)
	fallback(&m.KVCacheUsage, names.KVCacheUsage)
	fallback(&m.LoRA, names.LoRA)
	b.plan.Engines = engines
}
