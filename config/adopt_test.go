package config_test

import (
	"os"
	"path/filepath"
	"slices"
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
