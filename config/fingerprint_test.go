package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weirflow/weir/policies/builtin"
)

// TestSettings wants files that mean the same to have the same fingerprints, whatever
// they call their plug-ins, and names the fields in which others differ.
func TestSettings(t *testing.T) {
	of := func(text string) map[string]string {
		t.Helper()
		plan, _, err := Parse([]byte(Empty+text), Options{Registry: builtin.Registry(), Flags: map[string][]string{"upstream": {"http://127.0.0.1:8000"}}})
		if err != nil {
			t.Fatal(err)
		}
		settings, err := plan.Settings()
		if err != nil {
			t.Fatal(err)
		}
		prints, size := make(map[string]string), 0
		for _, s := range settings {
			prints[s.Path] = s.Print
			size += len(s.Key) + len(s.Print) + 2
		}
		if len(prints) != len(shared) || size > 200 { // gossip has no room for more
			t.Errorf("%d fields of %d, in %d bytes", len(prints), len(shared), size)
		}
		return prints
	}
	base := "plugins: [{type: concurrency-detector, name: a, parameters: {maxConcurrency: 8}}]\nflowControl: {saturationDetector: {pluginRef: a}}\n"
	for name, tc := range map[string]struct {
		file string
		want []string
	}{
		"other names": {"plugins: [{type: concurrency-detector, name: b, parameters: {maxConcurrency: 8}}]\nflowControl: {saturationDetector: {pluginRef: b}}\n", nil},
		"another limit": {
			"plugins: [{type: concurrency-detector, name: a, parameters: {maxConcurrency: 9}}]\nflowControl: {saturationDetector: {pluginRef: a}}\n",
			[]string{"flowControl.saturationDetector"},
		},
		"a policy and a flow": {
			"plugins: [{type: concurrency-detector, name: a, parameters: {maxConcurrency: 8}}]\n" +
				"flowControl: {saturationDetector: {pluginRef: a}, defaultPriorityBand: {fairnessPolicyRef: vtc-fairness-policy}}\nweir: {flows: [{id: x, weight: 2}]}\n",
			[]string{"flowControl.defaultPriorityBand", "flowControl.defaultNegativePriorityBand", "weir.flows"},
		},
		"groups":    {base + "weir: {groups: [{name: acme, weight: 2}]}\n", []string{"weir.groups"}},
		"addresses": {base + "weir: {listen: \"127.0.0.1:1\", replica: x}\n", nil},
	} {
		before, after := of(base), of(tc.file)
		want := make(map[string]bool)
		for _, path := range tc.want {
			want[path] = true
		}
		for path := range before {
			if differs := before[path] != after[path]; differs != want[path] {
				t.Errorf("%s: %s differs: %v", name, path, differs)
			}
		}
	}
}

// TestSettingsWithoutParameters prints plug-ins that are declared without parameters.
func TestSettingsWithoutParameters(t *testing.T) {
	plan, _, err := Parse([]byte(Empty+`plugins: [{type: round-robin-fairness-policy}]
flowControl: {defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}}
`), Options{Registry: builtin.Registry(), Flags: map[string][]string{"upstream": {"http://127.0.0.1:8000"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Settings(); err != nil {
		t.Error(err)
	}
}

// TestEveryFieldIsSharedOrNot wants a decision for every field of what a pool decides by:
// whether it should be the same at all replicas.
func TestEveryFieldIsSharedOrNot(t *testing.T) {
	own := make(map[string]bool)
	for _, path := range []string{
		"weir.replica", "weir.listen", "weir.admin", "weir.adminTokenFile", "weir.accessLog",
		"weir.metricsNames", "weir.pprof", "weir.tls", "weir.extProc", "weir.maxBody", "weir.maxHeaderBytes", "weir.memoryBudget",
		"weir.drainTimeout", "weir.fleet", // a process's own
		"weir.pool", "weir.pools", // replicas of another pool are no members
		"weir.endpoints", "weir.discovery", "weir.inferencePools", "weir.metrics", // may be told or found in other ways
		"weir.timeouts",     // hold for requests by the replica that they come by
		"weir.strictGroups", // checks a file
		"flowControl.bandSelectionPolicyPluginRef", // becomes weir.bandPolicy, which is compared
	} {
		own[path] = true
	}
	for section, of := range map[string]reflect.Type{"flowControl": reflect.TypeFor[FlowControl](), "weir": reflect.TypeFor[Weir]()} {
		for name := range fieldsOf(of) {
			path := section + "." + name
			compared := slices.ContainsFunc(shared, func(s sharedField) bool { return s.path == path || strings.HasPrefix(s.path, path+".") })
			if own[path] == compared {
				t.Errorf("%s: compared between replicas: %v, said to be a replica's own: %v", path, compared, own[path])
			}
		}
	}
}
