package app

import (
	"regexp"
	"strings"
	"testing"
)

// TestScreenFits wants no line to wrap and nothing to scroll, whatever there is to show.
func TestScreenFits(t *testing.T) {
	text := strings.Repeat(strings.Repeat("é", 200)+"\nshort\n", 40)
	screen := regexp.MustCompile(`\x1b\[[HKJ]`).ReplaceAllString(screenOf(text, 80, 24), "")
	lines := strings.Split(screen, "\r\n")
	if len(lines) != 24 {
		t.Errorf("%d lines on a terminal of 24", len(lines))
	}
	for i, line := range lines {
		if n := len([]rune(line)); n > 80 || n == 0 {
			t.Errorf("line %d has %d columns", i, n)
		}
	}
}

// TestCellsAreText wants what clients made up to move no cursor.
func TestCellsAreText(t *testing.T) {
	shown := table{{"FLOW"}, {"a\x1b[2Jb\tc\nd"}}.String()
	if strings.ContainsAny(shown, "\x1b\t") || strings.Count(shown, "\n") != 2 {
		t.Errorf("%q", shown)
	}
}
