package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/saturation"
)

// Flag is a setting that can also be given on the command line: it overrides what the file
// says at its path.
type Flag struct {
	Name string
	// Group is what it is about, for help.
	Group string
	// Repeated is whether it may be given several times, each one an item of a list.
	Repeated bool
	// Doc says what it sets, and Default what holds without it and without a file;
	// empty for nothing.
	Doc, Default string
	// Takes names what its value is, such as address, duration, file.
	Takes string
	// OneOf are the values it may have, where they are few.
	OneOf []string
	// Plugin is, where its value names a plug-in, what that must be.
	Plugin string

	paths []string // the fields it sets; [] stands for a list's items
}

// Groups of flags, in the order in which help shows them.
const (
	groupRequests  = "Requests and tenants"
	groupEndpoints = "Model servers"
	groupLedger    = "Ledger"
	groupFleet     = "Fleet"
	groupEnvoy     = "Envoy"
)

// maxConcurrency is the path of a flag that stands for a plug-in of its own: a
// concurrency detector with this one parameter, which is the one that holds.
const maxConcurrency = "plugins.maxConcurrency"

// endpointPlaces are the paths that say where endpoints come from: whoever gives one by
// a flag does not want the file's.
var endpointPlaces = []string{"weir.endpoints", "weir.discovery.file", "weir.discovery.dns", "weir.discovery.inferencePool"}

var flags = []Flag{
	{Name: "listen", Group: groupRequests, Takes: "address", paths: []string{"weir.listen"}},
	{Name: "admin", Group: groupRequests, Takes: "address", paths: []string{"weir.admin"}},
	{Name: "admin-token-file", Group: groupRequests, paths: []string{"weir.adminTokenFile"}},
	{Name: "tls-cert", Group: groupRequests, paths: []string{"weir.tls.cert"}},
	{Name: "tls-key", Group: groupRequests, paths: []string{"weir.tls.key"}},
	{Name: "access-log", Group: groupRequests, Takes: "which", paths: []string{"weir.accessLog"}},
	{Name: "metrics-names", Group: groupRequests, Takes: "names", paths: []string{"weir.metricsNames"}},
	{Name: "pprof", Group: groupRequests, paths: []string{"weir.pprof"}},
	{Name: "max-body", Group: groupRequests, paths: []string{"weir.maxBody"}},
	{Name: "max-header-bytes", Group: groupRequests, paths: []string{"weir.maxHeaderBytes"}},
	{Name: "shadow", Group: groupRequests, paths: []string{"weir.shadow"}},
	{Name: "memory-budget", Group: groupRequests, paths: []string{"weir.memoryBudget"}},
	{Name: "fairness", Group: groupRequests, Plugin: fairnessPolicy, Takes: "policy", Default: fairness.RoundRobinType, paths: []string{"flowControl.defaultPriorityBand.fairnessPolicyRef"}},
	{Name: "max-queued", Group: groupRequests, paths: []string{"flowControl.maxRequests"}},
	{
		Name: "request-ttl", Group: groupRequests, Doc: "How long a request may wait; 0s for no limit",
		paths: []string{"flowControl.defaultRequestTTL", "flowControl.noEndpointRequestTTL"},
	},
	{Name: "drain-timeout", Group: groupRequests, paths: []string{"weir.drainTimeout"}},

	{Name: "upstream", Group: groupEndpoints, Takes: "URL", Doc: "URL of a model server, such as http://127.0.0.1:8000", paths: []string{"weir.endpoints[].url"}},
	{Name: "endpoints-file", Group: groupEndpoints, paths: []string{"weir.discovery.file"}},
	{Name: "endpoints-dns", Group: groupEndpoints, Takes: "address", paths: []string{"weir.discovery.dns"}},
	{Name: "inference-pool", Group: groupEndpoints, Takes: "name", paths: []string{"weir.discovery.inferencePool"}},
	{Name: "inference-pools", Group: groupEndpoints, Takes: "selector", paths: []string{"weir.inferencePools"}},
	{Name: "kubeconfig", Group: groupEndpoints, paths: []string{"weir.discovery.kubeconfig"}},
	{
		Name: "max-concurrency", Group: groupEndpoints, Takes: "int",
		Doc: "Requests in flight for each model server, in place of the detector of --config; 100 without either", paths: []string{maxConcurrency},
	},

	{Name: "pool", Group: groupLedger, Takes: "name", paths: []string{"weir.pool"}},
	{Name: "redis", Group: groupLedger, Takes: "URL", paths: []string{"weir.store.redis"}},
	{Name: "redis-password-file", Group: groupLedger, paths: []string{"weir.store.passwordFile"}},
	{Name: "redis-cert", Group: groupLedger, paths: []string{"weir.store.cert"}},
	{Name: "redis-key", Group: groupLedger, paths: []string{"weir.store.key"}},
	{Name: "redis-ca", Group: groupLedger, paths: []string{"weir.store.ca"}},
	{Name: "redis-prefix", Group: groupLedger, Takes: "prefix", paths: []string{"weir.store.prefix"}},
	{Name: "on-store-outage", Group: groupLedger, Takes: "way", paths: []string{"weir.store.onOutage"}},
	{Name: "lease", Group: groupLedger, paths: []string{"weir.store.lease"}},
	{Name: "keep-lost", Group: groupLedger, paths: []string{"weir.store.keepLost"}},

	{Name: "replica-id", Group: groupFleet, Takes: "name", paths: []string{"weir.replica"}},
	{Name: "fleet", Group: groupFleet, Takes: "name", paths: []string{"weir.fleet.name"}},
	{Name: "gossip", Group: groupFleet, Takes: "address", paths: []string{"weir.fleet.gossip"}},
	{Name: "gossip-key-file", Group: groupFleet, paths: []string{"weir.fleet.gossipKeyFile"}},
	{Name: "join", Group: groupFleet, Takes: "address", Doc: "Gossip address of a replica to join by; a host name stands for all its addresses", paths: []string{"weir.fleet.join[]"}},
	{Name: "advertise", Group: groupFleet, Takes: "address", paths: []string{"weir.fleet.advertise"}},
	{Name: "peer", Group: groupFleet, Takes: "address", paths: []string{"weir.fleet.peer"}},
	{Name: "peer-cert", Group: groupFleet, paths: []string{"weir.fleet.peerCert"}},
	{Name: "peer-key", Group: groupFleet, paths: []string{"weir.fleet.peerKey"}},
	{Name: "peer-ca", Group: groupFleet, paths: []string{"weir.fleet.peerCA"}},
	{Name: "insecure-fleet", Group: groupFleet, paths: []string{"weir.fleet.insecure"}},

	{Name: "ext-proc", Group: groupEnvoy, Takes: "address", paths: []string{"weir.extProc.listen"}},
	{Name: "ext-proc-cert", Group: groupEnvoy, paths: []string{"weir.extProc.cert"}},
	{Name: "ext-proc-key", Group: groupEnvoy, paths: []string{"weir.extProc.key"}},
	{Name: "picker", Group: groupEnvoy, Takes: "address", Doc: "Address of another Endpoint Picker, such as epp.default.svc:9002, which chooses the endpoints of what comes by external processing; that is served at 127.0.0.1:9002 unless --ext-proc says where", paths: []string{"weir.extProc.picker.addresses[]"}},
	{Name: "picker-tls", Group: groupEnvoy, paths: []string{"weir.extProc.picker.tls"}},
	{Name: "picker-ca", Group: groupEnvoy, paths: []string{"weir.extProc.picker.ca"}},
	{Name: "picker-skip-verify", Group: groupEnvoy, paths: []string{"weir.extProc.picker.insecureSkipVerify"}},
	{Name: "picker-fail-open", Group: groupEnvoy, paths: []string{"weir.extProc.picker.failOpen"}},
	{Name: "admission-only", Group: groupEnvoy, paths: []string{"weir.extProc.admissionOnly"}},
}

// Flags returns the flags there are. What they do not say themselves the fields they
// set say.
func Flags() []Flag {
	defaults := newFile().complete()
	all := slices.Clone(flags)
	for i := range all {
		f := &all[i]
		if f.paths[0] == maxConcurrency {
			continue
		}
		f.Repeated = strings.Contains(f.paths[0], "[]")
		field, value := fieldAt(reflect.ValueOf(defaults).Elem(), f.paths[0])
		if f.Doc == "" {
			f.Doc = field.Tag.Get("doc")
		}
		if f.Takes == "" {
			f.Takes = takes(field)
		}
		f.OneOf = oneOf(field)
		if f.Default == "" && value.IsValid() {
			f.Default = written(value)
		}
	}
	return all
}

// flagOf returns the flag that sets a path, such as --listen; "" if there is none.
func flagOf(path string) string {
	for _, f := range flags {
		for _, p := range f.paths {
			if p == path || strings.HasPrefix(p, path+"[]") {
				return "--" + f.Name
			}
		}
	}
	return ""
}

// takes names what a field's value is.
func takes(field reflect.StructField) string {
	t := field.Type
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	switch {
	case field.Tag.Get("file") != "":
		return "file"
	case t == reflect.TypeFor[Duration]():
		return "duration"
	case t == reflect.TypeFor[Quantity]():
		return "size"
	case t.Kind() == reflect.Int:
		return "int"
	case t.Kind() == reflect.Bool:
		return "bool"
	}
	return "string"
}

// oneOf are the values that a field may have; nil for any.
func oneOf(field reflect.StructField) []string {
	if tag := field.Tag.Get("oneof"); tag != "" {
		return strings.Split(tag, "|")
	}
	return nil
}

// fieldAt walks down a path. The value is not valid where the path leads into what is
// not there.
func fieldAt(v reflect.Value, path string) (field reflect.StructField, value reflect.Value) {
	t := v.Type()
	for _, name := range strings.Split(path, ".") {
		name, list := strings.CutSuffix(name, "[]")
		field = fieldsOf(t)[name]
		t = field.Type
		if v.IsValid() {
			v = v.FieldByIndex(field.Index)
		}
		if list {
			t, v = t.Elem(), reflect.Value{}
		}
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
			if v.IsValid() {
				v = v.Elem() // not valid for nil
			}
		}
	}
	return field, v
}

// written is a value as one writes it; empty for none.
func written(v reflect.Value) string {
	if v.IsZero() {
		return ""
	}
	return fmt.Sprint(v.Interface())
}

// override replaces what the file says by the flags that were given.
func (b *builder) override(given map[string][]string) {
	for _, f := range flags {
		values, ok := given[f.Name]
		if !ok {
			continue
		}
		for _, path := range f.paths {
			if path == maxConcurrency {
				b.overrideConcurrency("--"+f.Name, values[len(values)-1])
			} else {
				b.overrideAt("--"+f.Name, path, values)
			}
		}
	}
}

// forgetPlaces drops what the file says of where endpoints come from, if a flag says it.
func (b *builder) forgetPlaces(given map[string][]string) {
	named := false
	for _, f := range flags {
		_, ok := given[f.Name]
		named = named || ok && slices.ContainsFunc(endpointPlaces, func(p string) bool { return flagOf(p) == "--"+f.Name })
	}
	if named {
		b.dropPlaces()
	}
}

// dropPlaces drops what the file says of where endpoints come from.
func (b *builder) dropPlaces() {
	w := &b.file.Weir
	w.Endpoints, w.Discovery.File, w.Discovery.Once, w.Discovery.DNS, w.Discovery.InferencePool = nil, "", false, "", ""
	if b.file.DataLayer != nil {
		b.file.DataLayer.Discovery = nil
	}
	for _, path := range endpointPlaces {
		b.forget(path)
	}
	b.forget("weir.discovery.dnsInterval") // which says nothing without them
}

func (b *builder) overrideAt(flag, path string, values []string) {
	into := reflect.ValueOf(b.file).Elem()
	head, tail, list := strings.Cut(path, "[]")
	for _, name := range strings.Split(head, ".") {
		if into.Kind() == reflect.Pointer {
			if into.IsNil() {
				into.Set(reflect.New(into.Type().Elem()))
			}
			into = into.Elem()
		}
		into = into.FieldByIndex(fieldsOf(into.Type())[name].Index)
	}
	field, _ := fieldAt(reflect.ValueOf(b.file).Elem(), path)
	if !list {
		b.overrideWord(flag, head, values[len(values)-1], into, field)
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(values), len(values)))
	for i, v := range values {
		item, at := into.Index(i), indexed(head, i)
		if tail != "" {
			item, at = item.FieldByIndex(fieldsOf(item.Type())[tail[1:]].Index), at+tail
		}
		b.overrideWord(flag, at, v, item, field)
	}
}

func (b *builder) overrideWord(flag, path, text string, into reflect.Value, field reflect.StructField) {
	d := decoder{places: b.places, flag: flag}
	d.value(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}, path, into)
	d.restrict(field, path)
	b.problems = append(b.problems, d.problems...)
}

// overrideConcurrency declares a concurrency detector and makes it the one that holds.
func (b *builder) overrideConcurrency(flag, text string) {
	path := indexed("plugins", len(b.file.Plugins)) + ".parameters"
	at := place{flag: flag, value: text}
	b.places[path] = at
	n, err := strconv.Atoi(text)
	if err != nil {
		b.failAt(at, path, wholeNumber)
		n = 1
	}
	if n < 1 || n > saturation.MostConcurrency {
		b.failAt(at, path, "must be from 1 to %d", saturation.MostConcurrency)
		n = 1
	}
	parameters, err := newRaw(map[string]int{"maxConcurrency": n})
	if err != nil {
		panic(err) // a number
	}
	b.file.Plugins = append(b.file.Plugins, Plugin{Name: flag, Type: saturation.ConcurrencyType, Parameters: parameters})
	b.file.SaturationDetector, b.file.FlowControl.SaturationDetector = nil, &PluginRef{PluginRef: flag}
}

// Values returns what a flag's value may be, where that is known.
func (f *Flag) Values(registry *policies.Registry) []string {
	if f.Plugin == "" {
		return f.OneOf
	}
	return typesOf[policies.FairnessPolicy](registry)
}
