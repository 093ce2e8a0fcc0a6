package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/weirflow/weir/config"
)

// TestAdopt splits every published file: Weir's part means the same for flow control as the
// whole did, and the picker's has the rest, with its flow control off.
func TestAdopt(t *testing.T) {
	files, err := filepath.Glob("testdata/epp/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	o := withServer()
	o.Flags["picker"] = []string{"epp:9002"}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		a, _, err := config.Adopt(data, o)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		ours, warnings, err := config.Parse(a.Weir, withServer())
		if err != nil {
			t.Errorf("%s: Weir's part: %v\n%s", file, err, a.Weir)
			continue
		}
		for _, w := range warnings {
			if w.Path == "plugins" || w.Path == "featureGates" || w.Path == "requestHandler" {
				t.Errorf("%s: Weir's part has what is not its own: %v", file, w)
			}
		}
		if got := ours.File.Weir.ExtProc.Picker.Addresses; !slices.Equal(got, []string{"epp:9002"}) {
			t.Errorf("%s: Weir's part names the pickers %v", file, got)
		}
		before, err := a.Plan.Settings()
		if err != nil {
			t.Fatal(err)
		}
		after, err := ours.Settings()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: Weir's part means something else: %s", file, diff)
		}
		var whole, theirs map[string]any
		if err := yaml.Unmarshal(data, &whole); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(a.Picker, &theirs); err != nil {
			t.Fatalf("%s: the picker's part: %v", file, err)
		}
		for _, field := range []string{"flowControl", "saturationDetector", "weir"} {
			if theirs[field] != nil {
				t.Errorf("%s: the picker's part has %s", file, field)
			}
		}
		for _, field := range []string{"schedulingProfiles", "requestHandler", "dataLayer"} {
			if diff := cmp.Diff(whole[field], theirs[field]); diff != "" {
				t.Errorf("%s: the picker's part has another %s: %s", file, field, diff)
			}
		}
		if gates, _ := theirs["featureGates"].([]any); slices.Contains(gates, any("flowControl")) {
			t.Errorf("%s: the picker's flow control is on", file)
		}
	}
}

// TestAdoptKeepsWhatIsSaid wants what flags say, and what the file has of Weir's own, to be in
// Weir's part, and what nobody said to be told.
func TestAdoptKeepsWhatIsSaid(t *testing.T) {
	const rest = `flowControl: {priorityBands: [{priority: 1, maxRequests: 7}]}
`
	for name, c := range map[string]struct {
		own                string
		flags              map[string][]string
		wants              []string
		unnamed, unlocated bool
	}{
		"flags beside a section": {
			own: "weir: {pool: chat, extProc: {fallbacks: 1}}\n",
			flags: map[string][]string{
				"picker": {"a:1", "b:1"}, "picker-skip-verify": {"true"}, "redis": {"redis://r:6379"}, "inference-pool": {"ns/chat"},
				"max-concurrency": {"9"}, "max-queued": {"50"}, "fairness": {"vtc-fairness-policy"},
			},
			wants: []string{
				"pool: chat", "fallbacks: 1", "a:1", "b:1", "insecureSkipVerify: true", "redis://r:6379", "inferencePool: ns/chat",
				"maxConcurrency: 9", "maxRequests: 50", "vtc-fairness-policy", "listen: :9002",
			},
		},
		"a section with a picker": {
			own:   "weir: {extProc: {listen: \":9009\", picker: {addresses: [\"mine:9002\"]}}, endpoints: [{url: \"http://a:1\"}]}\n",
			wants: []string{"mine:9002", ":9009", "http://a:1"},
		},
		"an endpoint by a flag": {
			own:   "weir: {extProc: {picker: {addresses: [\"mine:9002\"]}}, endpoints: [{url: \"http://a:1\"}]}\n",
			flags: map[string][]string{"endpoints-dns": {"vllm:8000"}}, wants: []string{"vllm:8000"},
		},
		"what stands where the picker's part has it": {
			own:   "plugins: [{type: queue-scorer, parameters: &p {}}, {type: round-robin-fairness-policy, parameters: *p}]\nweir: {extProc: {picker: {addresses: [\"mine:9002\"]}}, endpoints: [{url: \"http://a:1\"}]}\n",
			wants: []string{"parameters: {}", "round-robin-fairness-policy"},
		},
		"nothing": {wants: []string{config.AssumedPicker}, unnamed: true, unlocated: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := withServer()
			o.Flags, o.IgnoreFiles = c.flags, true
			a, _, err := config.Adopt([]byte(config.Empty+rest+c.own), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.wants {
				if !strings.Contains(strings.ReplaceAll(string(a.Weir), "'", ""), want) {
					t.Errorf("Weir's part does not say %q:\n%s", want, a.Weir)
				}
			}
			if name == "an endpoint by a flag" && strings.Contains(string(a.Weir), "http://a:1") {
				t.Errorf("Weir's part has endpoints in two places:\n%s", a.Weir)
			}
			if a.Unnamed != c.unnamed || a.Unlocated != c.unlocated {
				t.Errorf("no picker is named: %v, no server: %v; want %v and %v", a.Unnamed, a.Unlocated, c.unnamed, c.unlocated)
			}
			if o.Flags = nil; c.unlocated {
				o.Flags = withServer().Flags
			}
			ours, _, err := config.Parse(a.Weir, o)
			if err != nil {
				t.Fatalf("%v\n%s", err, a.Weir)
			}
			before, err := a.Plan.Settings()
			if err != nil {
				t.Fatal(err)
			}
			after, err := ours.Settings()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("Weir's part means something else: %s", diff)
			}
		})
	}
}
