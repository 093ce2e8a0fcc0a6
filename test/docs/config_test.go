package docs

import (
	"regexp"
	"strings"
	"testing"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies/builtin"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestConfigurations loads every configuration file that a page shows whole.
func TestConfigurations(t *testing.T) {
	loaded := 0
	for _, p := range pages(t) {
		for _, block := range yamlBlock.FindAllStringSubmatch(p.whole, -1) {
			if !strings.Contains(block[1], "kind: "+config.Kind) {
				continue // a part of one
			}
			loaded++
			if _, warnings, err := config.Parse([]byte(block[1]), config.Options{Registry: builtin.Registry(), IgnoreFiles: true}); err != nil || len(warnings) > 0 {
				t.Errorf("%s shows a configuration that has problems: %v %v", p.path, err, warnings)
			}
		}
	}
	if loaded == 0 {
		t.Error("no page shows a configuration")
	}
}
