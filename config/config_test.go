package config_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/fairness"
)

// TestFiles checks and prints the files in testdata: alone, or with a model server
// given by a flag.
func TestFiles(t *testing.T) {
	datadriven.RunTest(t, "testdata/check.txt", func(t *testing.T, d *datadriven.TestData) string {
		o := withServer()
		if d.Cmd == "alone" {
			o.Flags = nil
		}
		plan, warnings, err := config.Parse([]byte(d.Input), o)
		var out strings.Builder
		for _, w := range warnings {
			out.WriteString("warning: " + w.String() + "\n")
		}
		switch {
		case err != nil:
			out.WriteString(err.Error() + "\n")
		case d.Cmd == "print":
			text, err := plan.Print()
			if err != nil {
				t.Fatal(err)
			}
			out.Write(text)
		default:
			out.WriteString("ok\n")
		}
		return out.String()
	})
}

// withServer are the built-in plug-ins, and a model server.
func withServer() config.Options {
	return config.Options{Registry: builtin.Registry(), Flags: map[string][]string{"upstream": {"http://127.0.0.1:8000"}}}
}

// TestPrintedIsTheSame wants the effective configuration to be read again as
// itself.
func TestPrintedIsTheSame(t *testing.T) {
	plan, _, err := config.Parse([]byte("apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins: [{type: vtc-fairness-policy, parameters: {outputTokenWeight: 3}}]\n"), withServer())
	if err != nil {
		t.Fatal(err)
	}
	first, err := plan.Print()
	if err != nil {
		t.Fatal(err)
	}
	plan, _, err = config.Parse(first, withServer())
	if err != nil {
		t.Fatal(err)
	}
	second, err := plan.Print()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(first), string(second)); diff != "" {
		t.Error(diff)
	}
}

func TestFlows(t *testing.T) {
	plan, _, err := config.Parse([]byte(`
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
weir:
  objectives: [{name: high, priority: 100}, {name: batch, priority: -10}]
  flows:
  - {id: team-a-*, weight: 2, priority: 5}
  - {id: team-a-big, weight: 9}
  - {id: one, weight: 3}
  - {id: "*-x-*y", weight: 4}
`), withServer())
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]float64{"team-a-big": 2, "one": 3, "other": 1, "a-x-bcy": 4, "a-x-": 1, "-x-y": 4} {
		if got := plan.Flows.Weight(policies.FlowKey{ID: id}); got != want {
			t.Errorf("weight of %s: %v, want %v", id, got, want)
		}
	}
	for _, c := range []struct {
		flow, objective string
		want            int
	}{
		{"other", "high", 100},
		{"other", "", 0},
		{"other", "unknown", 0},
		{"team-a-1", "", 5},
		{"team-a-1", "unknown", 5},
		{"team-a-1", "batch", -10},
	} {
		if got, _ := plan.Flows.Priority(c.flow, c.objective, func(string) (int, bool) { return 0, false }); got != c.want {
			t.Errorf("flow %s, objective %q: priority %d, want %d", c.flow, c.objective, got, c.want)
		}
	}
}

// TestPrioritiesAreBounded wants a header that asks for more than its flow may have to be
// lowered, whether the configuration or another place knows the objective.
func TestPrioritiesAreBounded(t *testing.T) {
	plan, _, err := config.Parse([]byte("apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"+`weir:
  objectives: [{name: interactive, priority: 100}, {name: batch, priority: -5}, {name: normal, priority: 5}]
  flows:
  - {id: "trial-*", priority: -10, maxPriority: -5}
  - {id: partner, priority: 1, objectives: [normal, theirs]}
`), withServer())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := func(objective string) (int, bool) { return 50, objective == "theirs" }
	for _, c := range []struct {
		flow, objective string
		want            int
	}{
		{"trial-b", "interactive", -5},
		{"trial-b", "theirs", -5},
		{"trial-b", "batch", -5},
		{"trial-b", "", -10},
		{"partner", "normal", 5},
		{"partner", "interactive", 1},
		{"partner", "batch", 1},
		{"partner", "theirs", 50},
		{"other", "interactive", 100},
	} {
		if got, _ := plan.Flows.Priority(c.flow, c.objective, elsewhere); got != c.want {
			t.Errorf("%s as %q: %d, want %d", c.flow, c.objective, got, c.want)
		}
	}
	for flow, want := range map[string]string{"partner": "partner", "trial-b": "trial-*", "trial-*": "trial-*", "other": ""} {
		if got := plan.Flows.Rule(flow); got != want {
			t.Errorf("the rule of %s is %q, want %q", flow, got, want)
		}
	}
}

// TestSchema compares the schema in the repository with the types; WEIR_REWRITE=1
// renews it.
func TestSchema(t *testing.T) {
	got, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(got) {
		t.Fatal("the schema is not JSON")
	}
	const file = "schema.json"
	want, err := os.ReadFile(file)
	if err != nil || string(want) != string(got)+"\n" {
		if os.Getenv("WEIR_REWRITE") != "" {
			if err := os.WriteFile(file, append(got, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Errorf("%s is not what the types say; WEIR_REWRITE=1 go test ./config writes it anew (%v)", file, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nflowControl: {priorityBands: [{priority: 1}]}\n"))
	f.Add([]byte("a: &a [*a, *a]\nweir: {flows: [{id: '*'}]}"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		plan, _, err := config.Parse(data, withServer())
		if err == nil {
			plan.Flows.Weight(policies.FlowKey{ID: "x"})
		}
	})
}

// TestOwnPlugins names a type that is not built in.
func TestOwnPlugins(t *testing.T) {
	const file = config.Empty + "plugins: [{name: mine, type: my-fairness-policy}]\nflowControl: {defaultPriorityBand: {fairnessPolicyRef: mine}}\n"
	registry := builtin.Registry()
	if _, _, err := config.Parse([]byte(file), config.Options{Registry: registry, Flags: withServer().Flags}); err == nil || !strings.Contains(err.Error(), "my-fairness-policy") {
		t.Errorf("without the type: %v, want an error that names it", err)
	}
	if err := registry.Register("my-fairness-policy", policies.WithoutParameters(fairness.NewRoundRobin)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as a reload does
		plan, _, err := config.Parse([]byte(file), config.Options{Registry: registry, Flags: withServer().Flags})
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Default.Fairness.TypedName().Name; got != "mine" {
			t.Errorf("the default band's policy is %q, want mine", got)
		}
	}
	if err := registry.Register("file-discovery", policies.WithoutParameters(fairness.NewRoundRobin)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := config.Parse([]byte(file), config.Options{Registry: registry, Flags: withServer().Flags}); err == nil || !strings.Contains(err.Error(), "file-discovery") {
		t.Errorf("with a type that Weir itself has: %v, want an error that names it", err)
	}
}

// evens is a band policy of a third party: even priorities share by what the file gives them
// and their number, odd ones go strictly.
type evens struct{ policies.Named }

func newEvens(name string) *evens { return &evens{policies.NewNamed("evens-band-policy", name)} }

func (*evens) BandWeight(priority int, configured float64) float64 {
	if priority%2 != 0 {
		return 0
	}
	return configured * float64(1+priority)
}

// TestOwnBandPolicy names a band policy that is not built in, by either of the settings, and
// wants it to be asked with the weights that the file gives.
func TestOwnBandPolicy(t *testing.T) {
	registry := builtin.Registry()
	if err := registry.Register("evens-band-policy", policies.WithoutParameters(newEvens)); err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{"flowControl: {bandSelectionPolicyPluginRef: mine}\nweir:\n", "weir:\n  bandPolicy: mine\n"} {
		file := config.Empty + "plugins: [{name: mine, type: evens-band-policy}]\n" + named + "  bands: [{priority: 4, weight: 3}, {priority: 3, weight: 2}]\n"
		plan, _, err := config.Parse([]byte(file), config.Options{Registry: registry, Flags: withServer().Flags})
		if err != nil {
			t.Fatal(err)
		}
		for priority, want := range map[int]float64{4: 15, 3: 0, 2: 3, 0: 1} {
			if got := policies.BandWeight(plan.BandPolicy, priority, plan.BandWeight(priority)); got != want {
				t.Errorf("%q: priority %d weighs %g, want %g", named, priority, got, want)
			}
		}
	}
}
