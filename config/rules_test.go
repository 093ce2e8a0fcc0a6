package config

import (
	"cmp"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weirflow/weir/policies/builtin"
)

// rule is what a setting may not be: where it is, a section weir that gives it, and what is said
// of it. Of what has no effect that begins with "warning: ".
type rule struct{ path, section, says string }

// rules are all that is checked of what is given in the section. A $ stands for a directory in
// which there are the files garbage and empty.
var rules = []rule{
	{"weir.replica", "replica: a b", "must have 1 to 128 characters, without spaces, braces, colons and what cannot be printed"},
	{"weir.replica", `replica: "a\u0001b"`, "must have 1 to 128 characters"},
	{"weir.pool", "pool: '{a}'", "must have 1 to 128 characters, without spaces, braces and what cannot be printed"},
	{"weir.pool", `pool: "a\nb"`, "must have 1 to 128 characters"},
	{"weir.pools", "pools: []", "is empty; name at least one pool"},
	{"weir.pools[0].name", "pools: [{name: a b, models: [m], endpoints: [{url: 'http://a:1'}]}]", "must have 1 to 128 characters"},
	{"weir.pools[0].models[0]", "pools: [{models: [''], name: a, endpoints: [{url: 'http://a:1'}]}]", "is empty; give the name of a model"},
	{"weir.inferencePools", "inferencePools: A", "must be NAMESPACE/SELECTOR"},
	{"weir.inferencePools", "inferencePools: a/b=(", "its label selector"},
	{"weir.listen", "listen: 8080", "must be a host and a port, such as 127.0.0.1:8080"},
	{"weir.listen", "listen: 'a b:80'", "the host must be a name or an IP address"},
	{"weir.admin", "admin: ':99999'", "the port must be from 0 to 65535"},
	{"weir.admin", "admin: '127.0.0.1:8080'", `weir.listen listens there, with "127.0.0.1:8080"; give each its own port`},
	{"weir.adminTokenFile", "adminTokenFile: $", "is a directory; name a file"},
	{"weir.adminTokenFile", "adminTokenFile: $/empty", "warning: is empty: until it is not, nobody but probes passes"},
	{"weir.accessLog", "accessLog: some", "must be off, refused, all or sample:PART"},
	{"weir.metricsNames", "metricsNames: none", "must be weir, llm-d or both"},
	{"weir.pprof", "pprof: perhaps", "must be true or false"},
	{"weir.tls.cert", "tls: {cert: $/garbage}", "give its key by weir.tls.key, too"},
	{"weir.tls.key", "tls: {key: $/garbage}", "give its certificate by weir.tls.cert, too"},
	{"weir.tls.cert", "tls: {cert: $/garbage, key: $/garbage}", "failed to find any PEM data"},
	{"weir.extProc.listen", "extProc: {listen: ':8080'}", "weir.listen listens there"},
	{"weir.extProc.cert", "extProc: {cert: $/garbage}", "give its key by weir.extProc.key, too"},
	{"weir.extProc.key", "extProc: {key: $/garbage}", "give its certificate by weir.extProc.cert, too"},
	{"weir.extProc.picker.addresses[0]", "extProc: {picker: {addresses: ['%zz:9']}}", "the host must be a name or an IP address"},
	{"weir.extProc.picker.addresses[0]", "extProc: {picker: {addresses: [':9']}}", "the host must be a name or an IP address"},
	{"weir.extProc.picker.addresses[0]", "extProc: {picker: {addresses: ['a:0']}}", "the port must be from 1 to 65535"},
	{"weir.extProc.picker.tls", "extProc: {picker: {tls: true}}", "there is no picker"},
	{"weir.extProc.picker.ca", "extProc: {picker: {ca: $/garbage}}", "there is no picker"},
	{"weir.extProc.picker.ca", "extProc: {picker: {ca: $/garbage, addresses: ['a:9']}}", "holds no certificate in PEM form"},
	{"weir.extProc.picker.cert", "extProc: {picker: {cert: $/garbage}}", "there is no picker"},
	{"weir.extProc.picker.key", "extProc: {picker: {key: $/garbage}}", "there is no picker"},
	{"weir.extProc.picker.serverName", "extProc: {picker: {serverName: a b, addresses: ['a:9']}}", "must be a host's name or an IP address"},
	{"weir.extProc.picker.insecureSkipVerify", "extProc: {picker: {insecureSkipVerify: true}}", "there is no picker"},
	{"weir.extProc.picker.failOpen", "extProc: {picker: {failOpen: true}}", "there is no picker"},
	{"weir.extProc.picker.timeout", "extProc: {picker: {timeout: 1s}}", "there is no picker"},
	{"weir.extProc.picker.timeout", "extProc: {picker: {timeout: 1ms, addresses: ['a:9']}}", "must be from 10ms to 1h"},
	{"weir.extProc.admissionOnly", "extProc: {admissionOnly: true, picker: {addresses: ['a:9']}}", "weir.extProc.picker.addresses names a picker, too"},
	{"weir.extProc.poolHeader", "extProc: {poolHeader: x-pool}", "there is one pool; weir.pools has several"},
	{"weir.extProc.poolHeader", "extProc: {poolHeader: 'a b:'}\ninferencePools: a/b", "must be the name of a header, such as x-pool"},
	{"weir.extProc.poolHeader", "extProc: {poolHeader: x-pool}\ninferencePools: a/b", "warning: has no effect without weir.extProc.listen"},
	{"weir.extProc.poolAttribute", "extProc: {poolAttribute: a b}\ninferencePools: a/b", "must be the name of an attribute, such as xds.route_name"},
	{"weir.extProc.fallbacks", "extProc: {fallbacks: 11}", "must be from 0 to 10"},
	{"weir.extProc.fallbacks", "extProc: {fallbacks: 3}", "warning: has no effect without weir.extProc.listen"},
	{"weir.extProc.fallbacks", "extProc: {fallbacks: 3, admissionOnly: true}", "warning: has no effect: no endpoints are named here where weir.extProc.admissionOnly is given"},
	{"weir.endpoints[0].url", "endpoints: [{url: 'a:1'}]", "give a URL such as http://127.0.0.1:8000"},
	{"weir.endpoints[0].url", "endpoints: [{url: 'http://a:99999'}]", "the port must be from 1 to 65535"},
	{"weir.discovery.file", "discovery: {file: $}", "is a directory"},
	{"weir.discovery.once", "discovery: {once: true}", "warning: has no effect without weir.discovery.file"},
	{"weir.discovery.dns", "discovery: {dns: 'a b:80'}", "the host must be a name or an IP address"},
	{"weir.discovery.dnsInterval", "discovery: {dnsInterval: 1ms}", "must be at least 100ms"},
	{"weir.discovery.dnsInterval", "discovery: {dnsInterval: 1s}", "warning: has no effect without weir.discovery.dns"},
	{"weir.discovery.inferencePool", "discovery: {inferencePool: A B/c}", "must be NAMESPACE/NAME"},
	{"weir.discovery.kubeconfig", "discovery: {kubeconfig: $/garbage, inferencePool: a/b}", "read how the cluster is reached"},
	{"weir.metrics.interval", "metrics: {interval: 0s}", "must be from 10ms to 1m"},
	{"weir.metrics.server", "metrics: {server: ollama}", "must be vllm, sglang,"},
	{"weir.metrics.engineLabel", "metrics: {engineLabel: a b}", "must be the name of a label"},
	{"weir.metrics.scheme", "metrics: {scheme: ftp}", "must be http or https"},
	{"weir.metrics.path", "metrics: {path: '/a?b'}", "must be a path alone, such as /metrics"},
	{"weir.metrics.port", "metrics: {port: 99999}", "must be from 1 to 65535"},
	{"weir.metrics.insecureSkipVerify", "metrics: {insecureSkipVerify: perhaps}", "must be true or false"},
	{"weir.metrics.waiting", "metrics: {waiting: 'a{b'}", "must be the name of a metric"},
	{"weir.metrics.running", "metrics: {running: a b}", "must be the name of a metric"},
	{"weir.metrics.kvCacheUsage", "metrics: {kvCacheUsage: 1a}", "must be the name of a metric"},
	{"weir.metrics.lora", "metrics: {lora: a-b}", "must be the name of a metric"},
	{"weir.shadow", "shadow: perhaps", "must be true or false"},
	{"weir.maxBody", "maxBody: 0", "must be from 1 to 1Gi"},
	{"weir.maxHeaderBytes", "maxHeaderBytes: 4000", "must be from 4Ki to 1Mi"},
	{"weir.memoryBudget", "memoryBudget: 1k", "must be at least 1Mi"},
	{"weir.memoryBudget", "memoryBudget: 1Mi", "warning: is less than a body may have, 32Mi by weir.maxBody: larger ones are refused"},
	{"weir.timeouts.client", "timeouts: {client: 0s}", "must be from 1ms to 720h"},
	{"weir.timeouts.firstByte", "timeouts: {firstByte: soon}", "must be a time with its unit"},
	{"weir.timeouts.betweenBytes", "timeouts: {betweenBytes: 721h}", "must be from 1ms to 720h"},
	{"weir.timeouts.request", "timeouts: {request: 0s}", "must be from 1ms to 720h"},
	{"weir.drainTimeout", "drainTimeout: -1s", "must not be negative"},
	{"weir.store.redis", "store: {redis: 'redis://a:69999'}", "the port must be from 1 to 65535"},
	{"weir.store.redis", "store: {redis: 'redis://a/x'}", `the database "x" is not a number`},
	{"weir.store.passwordFile", "store: {passwordFile: $, redis: 'redis://h'}", "is a directory"},
	{"weir.store.passwordFile", "store: {passwordFile: $/garbage}", "warning: has no effect without weir.store.redis"},
	{"weir.store.cert", "store: {cert: $/garbage, redis: 'rediss://h'}", "give its key by weir.store.key, too"},
	{"weir.store.key", "store: {key: $/garbage, redis: 'rediss://h'}", "give its certificate by weir.store.cert, too"},
	{"weir.store.ca", "store: {ca: $/garbage, redis: 'redis://h'}", "is for TLS: weir.store.redis must begin with rediss://"},
	{"weir.store.ca", "store: {ca: $/garbage, redis: 'rediss://h'}", "holds no certificate in PEM form"},
	{"weir.store.prefix", "store: {prefix: '{x}', redis: 'redis://h'}", "must have 1 to 128 characters, without spaces, braces"},
	{"weir.store.lease", "store: {lease: 1ms}", "must be from 100ms to 1h"},
	{"weir.store.keepLost", "store: {keepLost: 1s}", "must be from the lease, 3s, to 24h"},
	{"weir.store.onOutage", "store: {onOutage: stop}", "must be share or hold"},
	{"weir.store.onOutage", "store: {onOutage: hold}", "warning: has no effect without weir.store.redis"},
	{"weir.fleet.name", "fleet: {name: a b}", "must have 1 to 128 characters, without spaces"},
	{"weir.fleet.gossip", "fleet: {gossip: '127.0.0.1:1'}", "replicas of a fleet share a ledger: give all of them the same weir.store.redis"},
	{"weir.fleet.gossip", "store: {redis: 'redis://h'}\nfleet: {gossip: '0.0.0.0:1', insecure: true}", "it does not say by which of this machine's addresses others reach it; give weir.fleet.advertise, too"},
	{"weir.fleet.gossip", "fleet: {gossip: '10.0.0.1:1'}\nstore: {redis: 'redis://h'}", "whoever reaches it could join the fleet"},
	{"weir.fleet.peer", "fleet: {peer: '10.0.0.1'}", "must be a host and a port"},
	{"weir.fleet.peer", "store: {redis: 'redis://h'}\nfleet: {peer: '127.0.0.1:1', gossip: '127.0.0.1:1'}", `weir.fleet.gossip listens there, with "127.0.0.1:1"`},
	{"weir.fleet.peer", "fleet: {peer: '127.0.0.1:1'}", "warning: has no effect without weir.fleet.gossip"},
	{"weir.fleet.advertise", "fleet: {advertise: here}", "must be an IP address"},
	{"weir.fleet.advertise", "fleet: {advertise: 0.0.0.0}", "others cannot reach it; give an IP address of this machine"},
	{"weir.fleet.join", "fleet: {join: ['a:1']}", "give this replica an address by weir.fleet.gossip, too"},
	{"weir.fleet.join[0]", "store: {redis: 'redis://h'}\nfleet: {join: ['%zz:1'], gossip: '127.0.0.1:1'}", "the host must be a name or an IP address"},
	{"weir.fleet.gossipKeyFile", "fleet: {gossipKeyFile: $/garbage}", "base64"},
	{"weir.fleet.peerCert", "fleet: {peerCert: $/garbage}", "give its key by weir.fleet.peerKey, too"},
	{"weir.fleet.peerKey", "fleet: {peerKey: $/garbage}", "give its certificate by weir.fleet.peerCert, too"},
	{"weir.fleet.peerCA", "fleet: {peerCA: $/garbage}", "holds no certificate in PEM form"},
	{"weir.fleet.insecure", "fleet: {insecure: true}", "warning: has no effect without weir.fleet.gossip"},
	{"weir.objectives[0].name", "objectives: [{name: '', priority: 1}]", "is missing; give what the objective header says"},
	{"weir.objectives[0].name", `objectives: [{name: "a\nb", priority: 1}]`, "must have up to 256 characters, none of which cannot be printed"},
	{"weir.objectives[0].priority", "objectives: [{priority: 3000000000, name: x}]", "must be a 32-bit number"},
	{"weir.flows[0].id", "flows: [{id: ''}]", "is missing; give a flow's id"},
	{"weir.flows[0].id", `flows: [{id: "a\nb"}]`, "must have up to 256 characters"},
	{"weir.flows[0].weight", "flows: [{weight: 0, id: x}]", "must be above 0 and at most 1000000"},
	{"weir.flows[0].scope", "flows: [{scope: cluster, id: x}]", "must be pool or fleet"},
	{"weir.flows[0].group", "flows: [{group: none, id: a}]", `"none" is no group; list it under weir.groups`},
	{"weir.flows[0].priority", "flows: [{priority: 3000000000, id: a}]", "must be a 32-bit number"},
	{"weir.flows[0].priority", "flows: [{priority: 5, id: a, maxPriority: 1}]", "warning: has no effect: 1 is the highest that maxPriority leaves it"},
	{"weir.flows[0].objectives[0]", "flows: [{objectives: [''], id: a}]", "must not be empty"},
	{"weir.flows[0].maxPriority", "flows: [{maxPriority: 3000000000, id: a}]", "must be a 32-bit number"},
	{"weir.flows[0].maxInFlight", "flows: [{maxInFlight: -1, id: a}]", "must not be negative"},
	{"weir.flows[0].tokensPerMinute", "flows: [{tokensPerMinute: -1, id: a}]", "must be from 0 to 1e12"},
	{"weir.flows[0].overLimit", "flows: [{overLimit: drop, id: a}]", "must be wait or reject"},
	{"weir.flows[0].overLimit", "flows: [{overLimit: reject, id: a}]", "warning: has no effect: the flow has no limit of its own"},
	{"weir.bands[0].priority", "bands: [{priority: 3000000000, weight: 1}]", "must be a 32-bit number"},
	{"weir.bands[0].weight", "bands: [{weight: 2, priority: 1}]", "has no effect where a higher priority always goes first; set weir.bandPolicy to weighted"},
	{"weir.bands[0].guaranteed", "bands: [{guaranteed: 110%, priority: 1}]", "must be a percentage above 0% and at most 100%"},
	{"weir.bandPolicy", "bandPolicy: fair", "no such band policy"},
	{"weir.groups[0].name", "groups: [{name: a//b}]", "must have a name before, between and after the slashes"},
	{"weir.groups[0].weight", "groups: [{weight: 0, name: a}]", "must be above 0 and at most 1000000"},
	{"weir.groups[0].scope", "groups: [{scope: cluster, name: a}]", "must be pool or fleet"},
	{"weir.groups[0].guaranteed", "groups: [{guaranteed: 60%, name: a, maximum: 50%}]", "is more than the 50% that it has at most"},
	{"weir.groups[0].maximum", "groups: [{maximum: 0, name: a}]", "must be a percentage above 0% and at most 100%, such as 50%, or a number"},
	{"weir.strictGroups", "strictGroups: true", "needs weir.groups"},
	{"weir.maxFlows", "maxFlows: 0", "must be from 1 to 1000000"},
	{"weir.cachedTokenWeight", "cachedTokenWeight: 2", "must be from 0 to 1"},
	{"weir.identity.apiKeys", "identity: {apiKeys: $/none}", "no such file"},
	{"weir.newcomers.for", "newcomers: {for: 2h}", "must be from 0s, for none, to 1h"},
	{"weir.newcomers.weight", "newcomers: {weight: 0}", "must be above 0, up to 1e6"},
	{"weir.newcomers.weight", "newcomers: {weight: 2}", "warning: has no effect without weir.newcomers.for"},
}

// TestEverySettingHasARule refuses, or warns of, what a replica could not be started with and what
// would have no effect: by a file and, where there is one, by a flag, in words that name what was
// given. A setting without a rule fails it.
func TestEverySettingHasARule(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"garbage": "hello\n", "empty": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "weir.yaml")
	tested := make(map[string]bool)
	for _, r := range rules {
		tested[regexp.MustCompile(`\[\d+\]`).ReplaceAllString(r.path, "[]")] = true
		section := strings.ReplaceAll(r.section, "$", dir)
		if !regexp.MustCompile(`(?m)^(endpoints|pools|inferencePools):|^discovery: \{(file|dns|inferencePool):`).MatchString(section) {
			section += "\nendpoints: [{url: 'http://a:1'}]"
		}
		text := Empty + "weir:\n  " + strings.ReplaceAll(section, "\n", "\n  ") + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		given := told(t, r, func(p *Problem) bool { return p.Path == r.path && p.Flag == "" && p.Line > 0 }, Options{}, file)
		flag := flagOf(regexp.MustCompile(`\[\d+\].*`).ReplaceAllString(r.path, ""))
		if value, err := strconv.Unquote(given.Value); flag != "" && err == nil {
			r.says = regexp.MustCompile(`weir\.[a-zA-Z.]+`).ReplaceAllStringFunc(r.says, func(setting string) string { return cmp.Or(flagOf(setting), setting) })
			o := Options{Flags: map[string][]string{strings.TrimPrefix(flag, "--"): {value}}}
			told(t, r, func(p *Problem) bool { return p.Flag == flag && p.Value == given.Value }, o, file)
		}
	}
	for _, path := range settings(reflect.TypeFor[Weir](), "weir") {
		// Those of a pool and of an objective stand for those of all.
		stands := strings.HasPrefix(path, "weir.pools[].") && path != "weir.pools[].name" && path != "weir.pools[].models[]" || strings.HasPrefix(path, "weir.objectives[].timeouts.")
		if !tested[path] && !stands {
			t.Errorf("%s: there is no rule of what it may not be", path)
		}
	}
}

// told reads the file, and wants the rule's words of a place, alone if it is refused.
func told(t *testing.T, r rule, there func(*Problem) bool, o Options, file string) (found Problem) {
	t.Helper()
	o.Registry = builtin.Registry()
	_, warnings, err := Load(file, o)
	says, warns := strings.CutPrefix(r.says, "warning: ")
	problems, _ := err.(Problems) //nolint:errorlint // it is Problems or nil
	if warns {
		problems = append(warnings, problems...)
	}
	i := slices.IndexFunc(problems, func(p Problem) bool { return there(&p) && strings.Contains(p.Text, says) })
	if i < 0 || warns && err != nil {
		t.Errorf("%s in %q, by flags %v: %v; warnings: %v; want: %s", r.path, r.section, o.Flags, err, warnings, r.says)
		return found
	}
	return problems[i]
}

// settings are the paths of what can be set in a type, with [] for the items of lists.
func settings(of reflect.Type, path string) (all []string) {
	if of.Kind() == reflect.Pointer {
		return settings(of.Elem(), path)
	}
	if of.Kind() == reflect.Slice {
		return settings(of.Elem(), path+"[]")
	}
	if _, word := reflect.New(of).Interface().(scalar); word || of.Kind() != reflect.Struct {
		return []string{path}
	}
	for name, f := range fieldsOf(of) {
		all = append(all, settings(f.Type, join(path, name))...)
	}
	return all
}
