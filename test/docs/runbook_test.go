package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRunbook wants every alert to lead to a part of the runbook, and every part to be
// about an alert.
func TestRunbook(t *testing.T) {
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	parts := make(map[string]bool)
	for _, heading := range regexp.MustCompile(`(?m)^### (Weir\w+)$`).FindAllStringSubmatch(read("docs", "runbook.md"), -1) {
		parts[heading[1]] = true
	}
	rules := read("deploy", "prometheus", "alerts.yaml")
	alerts := regexp.MustCompile(`(?s)- alert: (\w+)\n.*?runbook_url: \S+/docs/runbook\.md#(\w+)`).FindAllStringSubmatch(rules, -1)
	if n := strings.Count(rules, "- alert: "); len(alerts) != n || n < 10 {
		t.Errorf("%d of %d alerts have a link to the runbook", len(alerts), n)
	}
	table := read("deploy", "prometheus", "README.md")
	for _, alert := range alerts {
		if !parts[alert[1]] || alert[2] != strings.ToLower(alert[1]) {
			t.Errorf("%s leads to #%s; docs/runbook.md must have a part of its name", alert[1], alert[2])
		}
		if !strings.Contains(table, "| "+alert[1]+" |") {
			t.Errorf("deploy/prometheus/README.md does not list %s", alert[1])
		}
		delete(parts, alert[1])
	}
	for name := range parts {
		t.Errorf("docs/runbook.md has a part about %s, which is no alert", name)
	}
}
