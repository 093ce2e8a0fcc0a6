package app

import (
	"regexp"
	"strings"
	"testing"

	"github.com/weirflow/weir/internal/demo"
)

// TestDemoFits wants what is drawn over to fit a terminal, as only what is on it can be
// drawn over, and the end to be told in full.
func TestDemoFits(t *testing.T) {
	summary := &demo.Summary{Replicas: 3, Flows: make([]demo.Flow, 7), Timeline: make([]demo.Phase, 6)}
	var out strings.Builder
	s := stage{out: &out, live: true, size: func() (int, int) { return 80, 24 }}
	s.show(summary)
	if n := strings.Count(out.String(), "\n"); n != 23 {
		t.Errorf("%d lines and the cursor's on a terminal of 24", n)
	}
	out.Reset()
	s.show(summary)
	if up := regexp.MustCompile(`^\r\x1b\[(\d+)A`).FindStringSubmatch(out.String()); up == nil || up[1] != "23" {
		t.Errorf("it is not drawn over the 23 lines: %q", out.String())
	}
	out.Reset()
	if err := s.end(summary); err != nil || !strings.Contains(out.String(), "all others that were not answered") || !strings.Contains(out.String(), "Jain index: how even") {
		t.Errorf("the end: %v\n%s", err, out.String())
	}
}
