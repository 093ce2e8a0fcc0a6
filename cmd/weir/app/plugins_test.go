package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/fairness"
)

// TestOwnPlugins names a registered type in a file and by a flag.
func TestOwnPlugins(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte(config.Empty+"flowControl: {defaultPriorityBand: {fairnessPolicyRef: my-fairness-policy}}\nweir: {endpoints: [{url: http://127.0.0.1:1}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	registry := builtin.Registry()
	if err := registry.Register("my-fairness-policy", policies.WithoutParameters(fairness.NewRoundRobin)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	root := newRoot(registry)
	root.SetArgs([]string{"config", "check", file})
	root.SetOut(&out)
	if err := root.Execute(); err != nil || !strings.Contains(out.String(), "is good") {
		t.Errorf("config check: %v, %s", err, &out)
	}
	root = newRoot(registry)
	root.SetArgs([]string{"serve", "--upstream", "http://127.0.0.1:1", "--fairness", "my-fairness-policy", "--listen", "nowhere"})
	if err := root.Execute(); err == nil || strings.Contains(err.Error(), "my-fairness-policy") {
		t.Errorf("serve: %v, want only the address refused", err)
	}
}
