package app

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/internal/duration"
)

// table is columns of text. Its first row is the titles.
type table [][]string

func (t *table) add(cells ...string) { *t = append(*t, cells) }

// String lays the table out.
func (t table) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, row := range t {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, plain(cell))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // to memory
	lines := strings.Split(out.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// within returns the table without those of the optional columns, by their titles and in
// this order, that must go for it to be so wide at most; 0 for any width.
func (t table) within(columns int, optional ...string) table {
	for _, title := range optional {
		if columns <= 0 || t.width() <= columns {
			break
		}
		t = t.without(title)
	}
	return t
}

// shortened returns the table with the cells of a column cut in their middle to no less than so
// many runes, as far as it must be for the table to be so wide at most; 0 for any width.
func (t table) shortened(columns int, title string, least int) table {
	at, over := slices.Index(t[0], title), t.width()-columns
	if at < 0 || columns <= 0 || over <= 0 {
		return t
	}
	widest := 0
	for _, row := range t {
		widest = max(widest, utf8.RuneCountInString(row[at]))
	}
	room := max(least, utf8.RuneCountInString(title), widest-over)
	shorter := make(table, len(t))
	for i, row := range t {
		shorter[i] = slices.Clone(row)
		if cell := []rune(row[at]); len(cell) > room {
			begin := (room - 1) / 2
			shorter[i][at] = string(cell[:begin]) + "…" + string(cell[len(cell)-(room-1-begin):])
		}
	}
	return shorter
}

// without returns the table without a column, by its title.
func (t table) without(title string) table {
	at := slices.Index(t[0], title)
	if at < 0 {
		return t
	}
	narrower := make(table, len(t))
	for i, row := range t {
		narrower[i] = slices.Delete(slices.Clone(row), at, at+1)
	}
	return narrower
}

// width is that of its widest line.
func (t table) width() (width int) {
	for line := range strings.Lines(t.String()) {
		width = max(width, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")))
	}
	return width
}

// columnsOf is how wide tables are to be: as the terminal, 80 where there is none, and 0
// for as wide as they are.
func columnsOf(cmd *cobra.Command, wide bool) int {
	if wide {
		return 0
	}
	return widthOf(cmd.OutOrStdout(), columns)
}

// asLine is the width of an error or a warning that goes to no terminal: it is a line however
// long, as what collects logs takes it.
const asLine = 0

// widthOf is how wide text is to be: as the terminal, or as said where there is none.
func widthOf(out io.Writer, otherwise int) int {
	if f, ok := out.(*os.File); ok && isTerminal(f) {
		width, _ := sizeOf(f)
		return width
	}
	return otherwise
}

// allColumns gives a command the flag by which its tables have all their columns.
func allColumns(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("wide", false, "all columns, however wide the table gets")
}

// plain is a text that moves no cursor: names come from clients.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\ufffd'
		}
		return r
	}, text)
}

// Figures as people read them.

func milliseconds(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d <= 0:
		return "-"
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return duration.Short(d.Round(time.Second))
}

func perSecond(n float64) string {
	if n > 0 && n < 0.05 {
		return "<0.1" // not the same as none
	}
	return fmt.Sprintf("%.1f", n)
}

func percent(part float64) string { return fmt.Sprintf("%.0f%%", 100*part) }

func limited(limit *int64) string {
	if limit == nil {
		return "no limit"
	}
	return fmt.Sprint(*limit)
}

// plural is a number of things, of which one is named so.
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// waiting is how many wait, in words.
func waiting(n int64) string {
	if n == 1 {
		return "1 waits"
	}
	return fmt.Sprintf("%d wait", n)
}
