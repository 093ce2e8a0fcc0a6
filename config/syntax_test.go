package config_test

import (
	"strings"
	"testing"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies/builtin"
)

// TestSyntaxIsPlaced wants the line in which a file ceases to be YAML, and a tab to be called one.
func TestSyntaxIsPlaced(t *testing.T) {
	for name, c := range map[string]struct{ rest, want string }{
		"a tab":           {"weir:\n\tgroups: []\n", "line 4: not YAML: a tab stands where only spaces may"},
		"a wrong indent":  {"weir:\n  groups: []\n   flows: []\n", "line 5: not YAML: did not find expected key"},
		"an open list":    {"weir:\n  groups: [a\n  flows: []\nx: 1\n", "line 4: not YAML: did not find expected ',' or ']'"},
		"an open text":    {"weir:\n  pool: \"a\n  flows: []\n", "line 4: not YAML: found unexpected end of stream"},
		"a colon in text": {"weir:\n  pool: a: b\n", "line 4: not YAML: mapping values are not allowed"},
		"after much":      {"weir:\n" + strings.Repeat("  # x\n", 200) + "  groups: []\n   flows: []\n", "line 205: not YAML: did not find expected key"},
	} {
		_, _, err := config.Parse([]byte(config.Empty+c.rest), config.Options{Registry: builtin.Registry()})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
	}
}
