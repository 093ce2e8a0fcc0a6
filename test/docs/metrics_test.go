package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// isMetric is what looks like the name of a metric of Weir's: a text that ends in _ begins others.
var isMetric = regexp.MustCompile(`^weir_[a-z0-9_]*[a-z0-9]$`)

// TestMetricsAreListed wants every metric that the code names on the page of all metrics, and none
// named in a page that is not on it. That the page is what is registered is tested where that is.
func TestMetricsAreListed(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(weir_[a-z0-9_]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		listed[m[1]] = true
	}
	if len(listed) < 50 {
		t.Fatalf("only %d metrics are read from docs/metrics.md", len(listed))
	}
	known := func(name string) bool {
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if listed[strings.TrimSuffix(name, part)] {
				return true
			}
		}
		return listed[name]
	}
	for name := range readTree(t).literal {
		if isMetric.MatchString(name) && !known(name) && !strings.HasPrefix(name, "weir_turn") { // which are libraries in Redis
			t.Errorf("the code names %s, which is not in docs/metrics.md", name)
		}
	}
	for _, p := range pages(t) {
		for _, s := range spans.FindAllStringSubmatch(p.Text, -1) {
			name, _, _ := strings.Cut(s[1], "{")
			if isMetric.MatchString(name) && !known(name) {
				t.Errorf("%s names %s, which is not in docs/metrics.md", p.Path, name)
			}
		}
	}
}
