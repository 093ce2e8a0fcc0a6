package app

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rowsOf are the rows of a terminal that shows what was drawn.
func rowsOf(drawn string) []string {
	return strings.Split(regexp.MustCompile(`\x1b\[[HKJ]`).ReplaceAllString(drawn, ""), "\r\n")
}

// TestScreenFits wants no line to wrap and nothing to scroll, whatever there is to show.
func TestScreenFits(t *testing.T) {
	for _, rows := range []int{24, 2, 1} {
		s := screen{text: strings.Repeat(strings.Repeat("é", 200)+"\nshort\n", 40)}
		shown := rowsOf(s.draw(80, rows))
		if len(shown) != rows {
			t.Errorf("%d lines on a terminal of %d", len(shown), rows)
		}
		for i, line := range shown {
			if n := len([]rune(line)); n > 80 || n == 0 {
				t.Errorf("line %d has %d columns", i, n)
			}
		}
	}
}

// TestScreenMoves wants keys to reach every line of a text, and no emptiness beyond, also when
// the text is shorter than before.
func TestScreenMoves(t *testing.T) {
	lines := make([]string, 50)
	for i := range lines {
		lines[i] = fmt.Sprintf("line %d", i+1)
	}
	s := screen{text: strings.Join(lines, "\n") + "\n"}
	for _, step := range []struct{ key, first, last string }{
		{"", "line 1", "line 23"},
		{keyUp, "line 1", "line 23"},
		{keyDown, "line 2", "line 24"},
		{pageDown, "line 24", "line 46"},
		{pageDown, "line 28", "line 50"},
		{keyDown, "line 28", "line 50"},
		{"k", "line 27", "line 49"},
		{"b", "line 5", "line 27"},
		{"x", "line 5", "line 27"},
		{"G", "line 28", "line 50"},
		{"g", "line 1", "line 23"},
	} {
		s.press(step.key, 24)
		if shown := rowsOf(s.draw(80, 24)); shown[0] != step.first || shown[22] != step.last || !strings.Contains(shown[23], "of 50: arrow") {
			t.Errorf("after %q: %q", step.key, shown)
		}
	}
	s.press("G", 24)
	s.draw(80, 24)
	s.text = "one\ntwo\n"
	if shown := rowsOf(s.draw(80, 24)); !slices.Equal(shown, []string{"one", "two", "q ends"}) {
		t.Errorf("a shorter text: %q", shown)
	}
}

// TestTyped tells keys from each other, also those that are sent together.
func TestTyped(t *testing.T) {
	keys := make(chan string, 10)
	typed(t.Context(), io.MultiReader(strings.NewReader("jk"), strings.NewReader(pageDown+pageDown+"\x1bOAq"), strings.NewReader(ctrlC)), keys)
	close(keys)
	if got := slices.Collect(func(yield func(string) bool) {
		for key := range keys {
			if !yield(key) {
				return
			}
		}
	}); !slices.Equal(got, []string{"j", "k", pageDown, pageDown, keyUp, "q", ctrlC}) {
		t.Errorf("%q", got)
	}
}

// TestCellsAreText wants what clients made up to move no cursor.
func TestCellsAreText(t *testing.T) {
	shown := table{{"FLOW"}, {"a\x1b[2Jb\tc\nd"}}.String()
	if strings.ContainsAny(shown, "\x1b\t") || strings.Count(shown, "\n") != 2 {
		t.Errorf("%q", shown)
	}
}
