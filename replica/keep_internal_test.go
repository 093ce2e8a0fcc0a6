package replica

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
)

// changes has another value for each field of a file, and what changes of the fields of weir
// while a replica runs.
const changes = `
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 7}}]
featureGates: [flowControl]
saturationDetector: {pluginRef: concurrency-detector}
schedulingProfiles: [{name: default, plugins: [{pluginRef: kv-cache-utilization-scorer}]}]
dataLayer: {sources: [{pluginRef: metrics-data-source}]}
data: {sources: [{pluginRef: metrics-data-source}]}
requestHandler: {parsers: [{pluginRef: openai-parser}]}
parser: {pluginRef: openai-parser}
flowControl:
  maxBytes: 5M
  maxRequests: 77
  defaultRequestTTL: 7s
  noEndpointRequestTTL: 7s
  defaultPriorityBand: {maxRequests: 77}
  defaultNegativePriorityBand: {maxRequests: 77}
  priorityBands: [{priority: 7, maxRequests: 77}]
  bandSelectionPolicyPluginRef: weighted
  usageLimitPolicyPluginRef: other-usage
  saturationDetector: {pluginRef: concurrency-detector}
  enableEviction: true
weir:
  replica: other
  pool: other
  inferencePools: models/app=vllm
  listen: 127.0.0.1:7001
  admin: 127.0.0.1:7002
  adminTokenFile: token
  accessLog: all
  metricsNames: both
  pprof: true
  tls: {cert: a.pem, key: b.pem}
  extProc: {listen: "127.0.0.1:7003"}
  endpoints: [{url: "http://127.0.0.1:7"}]
  discovery: {dnsInterval: 7s}
  metrics: {interval: 70ms}
  shadow: true
  maxBody: 7M
  maxHeaderBytes: 7Ki
  memoryBudget: 700M
  timeouts: {request: 7m}
  drainTimeout: 7s
  store: {lease: 7s}
  fleet: {name: other}
  objectives: [{name: urgent, priority: 7}]
  flows: [{id: a, weight: 7}]
  bands: [{priority: 1, guaranteed: 7%}]
  bandPolicy: weighted
  groups: [{name: acme, weight: 7}]
  strictGroups: true
  maxFlows: 77
  cachedTokenWeight: 0.7
  identity: {apiKeys: keys.yaml}
  newcomers: {for: 7s}
`

// TestEachSettingIsShownAsItHolds changes each field of the file by itself. After a reload it is
// in effect and shown, or it is neither, and named as one that takes a restart.
func TestEachSettingIsShownAsItHolds(t *testing.T) {
	parse := func(text string) *config.Plan {
		t.Helper()
		plan, _, err := config.Parse([]byte(text), config.Options{Registry: builtin.Registry(), IgnoreFiles: true})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return plan
	}
	show := func(p *config.Plan) string {
		t.Helper()
		text, err := p.Show()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	base := map[string]any{}
	decode(t, config.Empty+"plugins: [{name: other-usage, type: static-usage-limit-policy, parameters: {threshold: 0.7}}]\nweir: {replica: r, memoryBudget: 600M, groups: [{name: acme, weight: 2}], endpoints: [{url: \"http://127.0.0.1:1\"}]}\n", base)
	changed, reader := map[string]any{}, map[string]any{}
	decode(t, changes, changed)
	decode(t, "plugins: [{type: core-metrics-extractor, parameters: {defaultEngine: sglang}}]", reader)
	at := func(shown, path string) (value any) {
		file := map[string]any{}
		decode(t, shown, file)
		value = file
		for _, name := range strings.Split(path, ".") {
			value = value.(map[string]any)[name]
		}
		return value
	}
	change := func(path string, changed map[string]any) {
		text := encode(t, with(t, base, changed, strings.Split(path, ".")))
		running, asked := parse(encode(t, base)), parse(text)
		if show(asked) == show(running) {
			t.Errorf("%s is not changed by %v", path, changed)
		}
		want, kept := show(asked), keep(asked, running)
		if slices.ContainsFunc(kept, func(of string) bool { return strings.HasPrefix(of, path) }) {
			want = show(running)
		}
		shown := show(asked)
		if is, want := at(shown, path), at(want, path); !reflect.DeepEqual(is, want) {
			t.Errorf("%s: a restart is needed for %v, and it is shown as %v, want %v", path, kept, is, want)
		}
		if holds, want := holding(asked), holding(parse(shown)); !reflect.DeepEqual(holds, want) {
			t.Errorf("%s is in effect otherwise than it is shown:\n%+v, and what is shown means\n%+v", path, holds, want)
		}
		if looks, was := started(asked), started(running); !reflect.DeepEqual(looks, was) {
			t.Errorf("%s changes what is looked at only when a replica starts:\n%+v, want\n%+v", path, looks, was)
		}
	}
	change("plugins", reader)
	for _, path := range fields(reflect.TypeFor[config.File](), "") {
		switch path {
		case "apiVersion", "kind", "flowControl", "weir": // they cannot change, or by their fields
			continue
		case "weir.pools", "weir.inferencePools": // from one pool to several is refused
			continue
		}
		change(path, changed)
	}
}

// holding is what is in effect by a plan.
func holding(p *config.Plan) map[string]any {
	all, v := make(map[string]any), reflect.ValueOf(*p)
	for i := range v.NumField() {
		switch f := v.Type().Field(i); {
		case !f.IsExported(), f.Name == "File", f.Name == "Pools", f.Name == "Models", f.Name == "Profile":
		case f.Name == "Flows":
			all["maxima"], all["guaranteed groups"], all["groups"] = p.Flows.Maxima(), p.Flows.Guaranteed(), p.Flows.GroupNames()
			all["rule"], all["weight"] = p.Flows.Rule("a"), p.Flows.Weight(policies.FlowKey{ID: "a"})
		default:
			all[f.Name] = v.Field(i).Interface()
		}
	}
	var plugins []string
	for _, plugin := range p.Profile.Plugins() {
		plugins = append(plugins, plugin.TypedName().String())
	}
	all["profile"], all["watch"] = plugins, watchOf(p)
	return all
}

// started is what of a plan is looked at only when a replica starts.
func started(p *config.Plan) []any {
	process, pool := gatewayConfig(p, zap.NewNop()), poolConfig(p, &flows.Objectives{}).Endpoints
	process.Keys = nil
	pool.Watch, pool.Profile = endpoints.Watch{}, endpoints.Profile{}
	return []any{process, pool, envoyConfig(p, nil)}
}

// fields are the paths of a file's fields: of its sections weir and flowControl those within.
func fields(t reflect.Type, below string) (paths []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		paths = append(paths, below+name)
		if below == "" && t.Field(i).Type.Kind() == reflect.Struct {
			paths = append(paths, fields(t.Field(i).Type, name+".")...)
		}
	}
	return paths
}

// with returns a file with the value of a path as in another one.
func with(t *testing.T, file, other map[string]any, path []string) map[string]any {
	t.Helper()
	value, there := other[path[0]]
	if !there {
		t.Fatalf("there is no other value of %q: add it to changes", path[0])
	}
	changed := make(map[string]any)
	for name, v := range file {
		changed[name] = v
	}
	if len(path) > 1 {
		within, _ := file[path[0]].(map[string]any)
		value = with(t, within, value.(map[string]any), path[1:])
	}
	if list, ok := changed[path[0]].([]any); ok && path[0] == "plugins" {
		value = append(append([]any{}, list...), value.([]any)...)
	}
	changed[path[0]] = value
	return changed
}

func decode(t *testing.T, text string, into map[string]any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &into); err != nil {
		t.Fatal(err)
	}
}

func encode(t *testing.T, file map[string]any) string {
	t.Helper()
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPoolThatComesHasWhatHolds has a reload bring a pool and change what takes a restart of the
// whole process: the pool goes by what holds, and has what it is given itself.
func TestPoolThatComesHasWhatHolds(t *testing.T) {
	parse := func(text string) *config.Plan {
		t.Helper()
		plan, _, err := config.Parse([]byte(config.Empty+text), config.Options{Registry: builtin.Registry(), IgnoreFiles: true})
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	running := parse("weir: {replica: r, pools: [{name: a, models: [a], endpoints: [{url: \"http://127.0.0.1:1\"}]}]}\n")
	asked := parse(`weir:
  replica: other
  adminTokenFile: token
  store: {lease: 7s, onOutage: hold}
  pools:
  - {name: a, models: [a], endpoints: [{url: "http://127.0.0.1:1"}]}
  - {name: b, models: [b], endpoints: [{url: "http://127.0.0.1:2"}], metrics: {interval: 70ms}, shadow: true, maxFlows: 77}
`)
	kept := keep(asked, running)
	if want := []string{"weir.adminTokenFile", "weir.replica", "weir.store.lease", "weir.store.onOutage"}; !slices.Equal(slices.Sorted(slices.Values(kept)), want) {
		t.Errorf("a restart is needed for %v, want %v", kept, want)
	}
	w, was := planOf(asked, "b").File.Weir, running.File.Weir
	if w.Replica != "r" || w.AdminTokenFile != "" || !reflect.DeepEqual(w.Store, was.Store) {
		t.Errorf("the pool goes by the replica %q, the token file %q and the store %+v", w.Replica, w.AdminTokenFile, w.Store)
	}
	if w.Pool != "b" || len(w.Endpoints) != 1 || w.Endpoints[0].URL != "http://127.0.0.1:2" || time.Duration(*w.Metrics.Interval) != 70*time.Millisecond || !w.Shadow || w.MaxFlows != 77 {
		t.Errorf("the pool has not what it is given: %+v", w)
	}
}
