package shares

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// figures is where a report keeps what it measured, and page what shows it.
const (
	figures = "../../docs/shares/figures.json"
	page    = "../../docs/shares.md"
)

// figure is a line of the table: what was measured by a test on three replicas, and on one.
type figure struct {
	Test, What, Three, One string
}

// tests are the table's, in its order.
var tests = []string{
	"TestFloor", "TestTrickle", "TestLevels", "TestDemand", "TestMaximum", "TestFaults", "TestSpreadsInVain", "TestUse",
	"TestGroupFloor", "TestBandWeights",
}

var figuresLock sync.Mutex

// change reads the kept figures, has them changed, and writes them in order.
func change(t *testing.T, by func([]figure) []figure) {
	t.Helper()
	figuresLock.Lock()
	defer figuresLock.Unlock()
	all := by(readFigures(t))
	slices.SortStableFunc(all, func(a, b figure) int { return slices.Index(tests, a.Test) - slices.Index(tests, b.Test) })
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(figures, append(data, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFigures(t *testing.T) (all []figure) {
	t.Helper()
	data, err := os.ReadFile(figures)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// forget drops what the test measured before.
func forget(t *testing.T) {
	t.Helper()
	test := topLevel(t)
	change(t, func(all []figure) []figure {
		return slices.DeleteFunc(all, func(f figure) bool { return f.Test == test })
	})
}

func topLevel(t *testing.T) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	return name
}

// keep keeps what the fleet showed, if the table has its test.
func (f *fleet) keep(what, said string) {
	f.Helper()
	test := topLevel(f.T)
	if !slices.Contains(tests, test) {
		return
	}
	change(f.T, func(all []figure) []figure {
		i := slices.IndexFunc(all, func(f figure) bool { return f.Test == test && f.What == what })
		if i < 0 {
			i, all = len(all), append(all, figure{Test: test, What: what})
		}
		if f.begun == 1 {
			all[i].One = said
		} else {
			all[i].Three = said
		}
		return all
	})
}

// plot draws what tenants had over the whole run, and what one of them is guaranteed, for the report.
func (f *fleet) plot(name, title string, tenants []string, guaranteed float64, marks ...Mark) {
	f.Helper()
	if !reporting || f.begun == 1 {
		return
	}
	p := Plot{Title: title, Span: Span{0, f.now()}, Slots: slots, Guaranteed: guaranteed, Marks: marks}
	for _, t := range tenants {
		p.Lines = append(p.Lines, Line{t, f.curve(t)})
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(figures), name+".svg"), p.SVG(), 0o600); err != nil {
		f.Fatal(err)
	}
}

// What stands around the table in the page.
const (
	tableBegins = "<!-- make shares writes the table below -->\n"
	tableEnds   = "<!-- the table ends -->\n"
)

// TestTable wants the page's table to have the figures that were kept; WEIR_REWRITE=1 writes it.
func TestTable(t *testing.T) {
	var want strings.Builder
	want.WriteString("\n| | three replicas | one replica | test |\n| --- | --- | --- | --- |\n")
	for _, f := range readFigures(t) {
		if f.One == "" {
			f.One = "—"
		}
		fmt.Fprintf(&want, "| %s | %s | %s | `%s` |\n", f.What, f.Three, f.One, f.Test)
	}
	want.WriteString("\n")
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), tableBegins)
	table, after, ended := strings.Cut(rest, tableEnds)
	if !ok || !ended {
		t.Fatalf("%s: no table between %q and %q", page, tableBegins, tableEnds)
	}
	if table == want.String() {
		return
	}
	if os.Getenv("WEIR_REWRITE") == "" {
		t.Fatalf("%s does not show what %s has; WEIR_REWRITE=1 go test ./test/shares -run TestTable writes it", page, figures)
	}
	if err := os.WriteFile(page, []byte(before+tableBegins+want.String()+tableEnds+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
