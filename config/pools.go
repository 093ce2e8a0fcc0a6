package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Pool is one of several pools of a process. A field's at tag says which field of the file it
// stands for; for what a pool does not give, that one holds.
type Pool struct {
	Name      string     `yaml:"name" at:"weir.pool" doc:"Name of the pool; replicas share a ledger for each name"`
	Models    []string   `yaml:"models,omitempty" doc:"Models that are for this pool, by all names under which its servers know them; * in one stands for anything, and a name without comes before those with it"`
	Endpoints []Endpoint `yaml:"endpoints,omitempty" at:"weir.endpoints" doc:"Its model servers"`
	Discovery `yaml:",inline" at:"weir.discovery"`

	FlowControl        *FlowControl `yaml:"flowControl,omitempty" at:"flowControl" doc:"What differs from flowControl of all pools"`
	SchedulingProfiles []Profile    `yaml:"schedulingProfiles,omitempty" at:"schedulingProfiles" doc:"Which endpoint a request goes to; several where a header or stages choose between them"`
	Metrics            *Metrics     `yaml:"metrics,omitempty" at:"weir.metrics" doc:"What differs from weir.metrics"`
	Shadow             bool         `yaml:"shadow,omitempty" at:"weir.shadow" doc:"Hold and refuse nothing of this pool's"`
	Timeouts           *Timeouts    `yaml:"timeouts,omitempty" at:"weir.timeouts" doc:"What differs from weir.timeouts"`
	Objectives         []Objective  `yaml:"objectives,omitempty" at:"weir.objectives" doc:"Priorities by the name that the objective header carries, instead of weir.objectives"`
	Flows              []Flow       `yaml:"flows,omitempty" at:"weir.flows" doc:"Settings of flows, instead of weir.flows"`
	Bands              []BandShare  `yaml:"bands,omitempty" at:"weir.bands" doc:"What priorities are guaranteed of this pool, and by which weights they share the rest of it, instead of weir.bands"`
	BandPolicy         string       `yaml:"bandPolicy,omitempty" at:"weir.bandPolicy" doc:"How priorities share what is not guaranteed, instead of weir.bandPolicy"`
	Groups             []Group      `yaml:"groups,omitempty" at:"weir.groups" doc:"Groups of flows, instead of weir.groups"`
	StrictGroups       bool         `yaml:"strictGroups,omitempty" at:"weir.strictGroups" doc:"Have every flow and pattern in flows, and every API key, be of a group"`
	MaxFlows           int          `yaml:"maxFlows,omitempty" at:"weir.maxFlows" doc:"Flows of a priority that are told apart, instead of weir.maxFlows"`
	Newcomers          *Newcomers   `yaml:"newcomers,omitempty" at:"weir.newcomers" doc:"What differs from weir.newcomers"`
}

// standsFor are the fields of the file that those of a pool stand for, by the pool's.
func standsFor() map[string]string {
	all, t := make(map[string]string), reflect.TypeFor[Pool]()
	for name, f := range fieldsOf(t) {
		at := f.Tag.Get("at")
		if len(f.Index) > 1 {
			at = join(t.Field(f.Index[0]).Tag.Get("at"), name)
		}
		if at != "" {
			all[name] = at
		}
	}
	return all
}

// overlay is a pool's part of a file over what the file says for all pools. It is nil for the
// file as it is.
type overlay struct {
	path   string            // the pool's, such as weir.pools[2]
	at     place             // where it begins
	fields map[string]string // a pool's fields by those of the file that they stand for
}

// shown is a path as it is written in the pool's part.
func (o *overlay) shown(path string) string {
	for stands, field := range o.fields {
		if rest, ok := strings.CutPrefix(path, stands); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return o.path + "." + field + rest
		}
	}
	return path
}

// alone reports whether a path is of what no pool shares with others: its name, and where its
// endpoints come from.
func (o *overlay) alone(path string) bool {
	return o != nil && (path == "weir.pool" || slices.Contains(endpointPlaces, path))
}

// several reports whether the file has pools of their own, or Kubernetes.
func (b *builder) several() bool { return b.given("weir.pools") || b.file.Weir.InferencePools != "" }

// pools builds the plans of the pools, each by the file with the pool's part over it.
func (b *builder) pools() {
	b.plan.Pools = []*Plan{&b.plan}
	if !b.several() {
		return
	}
	pools := b.file.Weir.Pools
	if len(pools) == 0 && b.file.Weir.InferencePools == "" && len(b.problems) == 0 {
		b.wrong("weir.pools", "is empty; name at least one pool, or leave it out")
	}
	b.plan.Pools = nil
	names, models := make(map[string]bool), newClaims()
	for i := range pools {
		path := indexed("weir.pools", i)
		b.poolName(path+".name", pools[i].Name, names)
		for k, model := range pools[i].Models {
			if err := models.refuses(model, pools[i].Name); err != nil {
				b.wrong(indexed(path+".models", k), "%v", err)
			}
			models.take(model, pools[i].Name, false)
		}
		if err := tooMany(pools[i].Models); err != nil {
			b.wrong(path+".models", "%v", err)
		}
		if len(pools[i].Models) == 0 && !b.envoyNames() {
			b.wrong(path, "no request can be for it: give models, or for what comes by Envoy weir.extProc.poolHeader or poolAttribute")
		}
		p := b.forPool(path, resolved(resolved(valueOf(valueOf(b.document, "weir"), "pools")).Content[i]))
		b.problems, b.warnings = append(b.problems, p.problems...), append(b.warnings, p.warnings...)
		b.plan.Pools = append(b.plan.Pools, &p.plan)
		pools[i].fill(p.file)
	}
	b.plan.Models = models.Models
	b.plan.File.Weir.Pool = "" // there is not one
}

// envoyNames reports whether Envoy may name the pool of a request.
func (b *builder) envoyNames() bool {
	x := &b.file.Weir.ExtProc
	return x.PoolHeader != "" || x.PoolAttribute != ""
}

// oneOrSeveral refuses what is for a process of one pool where there are several.
func (b *builder) oneOrSeveral() {
	for _, path := range []string{"weir.extProc.poolHeader", "weir.extProc.poolAttribute"} {
		if b.given(path) && !b.several() && b.overlay == nil {
			b.wrong(path, "there is one pool; weir.pools has several")
		}
	}
	if x := &b.file.Weir.ExtProc; x.PoolHeader != "" {
		b.headerName("weir.extProc.poolHeader", x.PoolHeader)
	}
	b.attribute("weir.extProc.poolAttribute", b.file.Weir.ExtProc.PoolAttribute)
	if !b.several() || b.overlay != nil {
		return
	}
	for _, path := range append([]string{"weir.pool"}, endpointPlaces...) {
		b.without(path, "there are several pools, and weir.pools or Kubernetes says this for each; leave it out")
	}
	for _, path := range []string{"dataLayer.discovery", "weir.extProc.picker"} {
		b.without(path, "this is for one pool, and there are several; leave it out")
	}
}

// without refuses a field, or the first of its items or fields that was given.
func (b *builder) without(path, why string) {
	for _, p := range []string{path, path + "[0].url", path + ".addresses[0]"} {
		if b.given(p) {
			b.wrong(p, "%s", why)
			return
		}
	}
}

// forPool builds the plan of one pool, of which a part of the file is.
func (b *builder) forPool(path string, node *yaml.Node) *builder {
	p := newBuilder(b.name, b.options)
	p.places = make(map[string]place)
	file := reflect.ValueOf(p.file).Elem()
	p.value(filtered(b.document, map[string]func(*yaml.Node) *yaml.Node{
		"weir": func(n *yaml.Node) *yaml.Node {
			return filtered(resolved(n), map[string]func(*yaml.Node) *yaml.Node{"pools": drop, "inferencePools": drop})
		},
	}), "", file)
	p.dropPlaces() // whoever gave them for all was told
	p.forget("weir.pool")
	fields := standsFor()
	p.overlay = &overlay{path: path, at: place{line: node.Line, own: true}, fields: make(map[string]string)}
	for field, stands := range fields {
		p.overlay.fields[stands] = field
	}
	for k := 0; k+1 < len(node.Content); k += 2 {
		name, value := node.Content[k].Value, node.Content[k+1]
		stands := fields[name]
		if stands == "" {
			continue // the file was read as it is, and problems found
		}
		field, into := fieldAt(file, stands)
		p.value(value, stands, into)
		p.restrict(field, stands)
	}
	p.override(b.options.Flags)
	p.file.Weir.InferencePools = ""
	p.file.complete()
	p.build()
	return p
}

// fill says in the pool's part all that holds for it.
func (p *Pool) fill(file *File) {
	fields, into, from := fieldsOf(reflect.TypeFor[Pool]()), reflect.ValueOf(p).Elem(), reflect.ValueOf(file).Elem()
	for name, stands := range standsFor() {
		_, value := fieldAt(from, stands)
		field := into.FieldByIndex(fields[name].Index)
		switch {
		case field.Kind() == value.Kind():
			field.Set(value)
		case value.IsValid() && !value.IsZero():
			field.Set(value.Addr())
		}
	}
}

// resolved is what a node stands for.
func resolved(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
