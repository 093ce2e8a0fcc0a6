package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirflow/weir/policies/builtin"
)

// TestAdopt splits a file on paper and on disk, and the files are good.
func TestAdopt(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		root := newRoot(builtin.Registry())
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(args)
		err := root.Execute()
		return out.String(), err
	}
	file := filepath.Join(dir, "epp.yaml")
	text := `apiVersion: llm-d.ai/v1
kind: EndpointPickerConfig
featureGates: [flowControl]
plugins: [{type: decode-filter}, {name: fair, type: round-robin-fairness-policy}]
flowControl: {priorityBands: [{priority: 7, maxRequests: 3, fairnessPolicyRef: fair, defaultRequestTTL: 0s}]}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run("adopt", file, "--picker", "theirs:9002")
	if err != nil {
		t.Fatal(err)
	}
	out = strings.ReplaceAll(out, "\n#   ", " ")
	for _, want := range []string{
		"# Priority 7: 3 requests and 1000M bytes may wait, each for ever; round-robin-fairness-policy, fcfs-ordering-policy.",
		"# The picker keeps: decode-filter.", "weir serve --inference-pool", "- theirs:9002", "# picker.yaml:", "# weir.yaml:",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "No picker is named") {
		t.Errorf("the picker that was named is not seen:\n%s", out)
	}
	if out, err := run("adopt", file); err != nil || !strings.Contains(strings.ReplaceAll(out, "\n#   ", " "), "# No picker is named: put its address in the place of epp:9002") {
		t.Errorf("a picker was made up without a word: %v\n%s", err, out)
	}
	if out, err := run("adopt", file, "--upstream", "http://127.0.0.1:8000", "--out", dir); err != nil || strings.Contains(out, "---") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := run("config", "check", filepath.Join(dir, "weir.yaml"), "--upstream", "http://127.0.0.1:8000"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if theirs, err := os.ReadFile(filepath.Join(dir, "picker.yaml")); err != nil || strings.Contains(string(theirs), "flow") {
		t.Errorf("%v: the picker's part has flow control:\n%s", err, theirs)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(text, "maxRequests", "maxRequest", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run("adopt", file); err == nil || !strings.Contains(err.Error(), "epp.yaml:5") || !strings.Contains(err.Error(), `"maxRequests"`) {
		t.Errorf("a mistake: %v", err)
	}
}
