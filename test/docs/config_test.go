package docs

import (
	"strings"
	"testing"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies/builtin"
)

// TestConfigurations loads every configuration file that a page shows whole.
func TestConfigurations(t *testing.T) {
	loaded := 0
	for _, p := range pages(t) {
		for _, block := range p.Blocks {
			if block.Language != "yaml" || !strings.Contains(block.Body, "kind: "+config.Kind) {
				continue // a part of one
			}
			loaded++
			if _, warnings, err := config.Parse([]byte(block.Body), config.Options{Registry: builtin.Registry(), IgnoreFiles: true}); err != nil || len(warnings) > 0 {
				t.Errorf("%s shows a configuration that has problems: %v %v", p.Path, err, warnings)
			}
		}
	}
	if loaded == 0 {
		t.Error("no page shows a configuration")
	}
}
