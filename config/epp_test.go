package config_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/weirflow/weir/config"
)

// TestFilesOfTodaysPickers says of each published file what Weir does with it where it
// chooses endpoints itself: that it takes it, or what stops it. With a picker it takes all.
func TestFilesOfTodaysPickers(t *testing.T) {
	files, err := filepath.Glob("testdata/epp/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	datadriven.RunTest(t, "testdata/epp.txt", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		taken := 0
		o := withServer()
		if d.Cmd == "picker" {
			o.Flags["picker"] = []string{"epp.default.svc:9002"}
		}
		for _, file := range files {
			said := "accepted"
			if stops := stoppedBy(t, file, o); len(stops) > 0 {
				said = strings.Join(stops, ", ")
			} else {
				if taken++; d.Cmd == "picker" {
					continue
				}
			}
			fmt.Fprintf(&out, "%s: %s\n", strings.TrimSuffix(filepath.Base(file), ".yaml"), said)
		}
		fmt.Fprintf(&out, "%d of %d\n", taken, len(files))
		return out.String()
	})
}

// TestWhatStopsFiles wants the page for who moves in to say which types stop files, and of how
// many, where Weir chooses endpoints itself.
func TestWhatStopsFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/epp/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	stopped, taken := make(map[string]int), 0
	typ := regexp.MustCompile(`[a-z0-9]+(-[a-z0-9]+)+`)
	for _, file := range files {
		of := make(map[string]bool)
		for _, what := range stoppedBy(t, file, withServer()) {
			name := "`" + typ.FindString(what) + "`"
			if strings.Contains(what, "is a second") {
				name += ", a second one"
			}
			of[name] = true
		}
		if len(of) == 0 {
			taken++
		}
		for name := range of {
			stopped[name]++
		}
	}
	types := slices.SortedFunc(maps.Keys(stopped), func(a, b string) int {
		return cmp.Or(stopped[b]-stopped[a], strings.Compare(a, b))
	})
	table := fmt.Sprintf("Weir itself chooses endpoints by %d of the %d. What stops the others:\n\n| type | files |\n| --- | --- |\n", taken, len(files))
	for _, name := range types {
		table += fmt.Sprintf("| %s | %d |\n", name, stopped[name])
	}
	const page, mark = "../docs/moving-in.md", "-run TestWhatStopsFiles -->\n\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), mark)
	if !found {
		t.Fatalf("%s has no place for the table", page)
	}
	if after == table {
		return
	}
	if os.Getenv("WEIR_REWRITE") == "" {
		t.Fatalf("%s is not current; it says\n%s\nwant\n%s", page, after, table)
	}
	if err := os.WriteFile(page, []byte(before+mark+table), 0o644); err != nil { //nolint:gosec // a page of the documentation
		t.Fatal(err)
	}
}

// TestMisspeltFlowControl wants a type that is likely to be one of Weir's to be refused also
// where a picker has the rest, and none of a picker's to be taken for one.
func TestMisspeltFlowControl(t *testing.T) {
	o := withServer()
	o.Flags["picker"] = []string{"epp:9002"}
	check := func(typ string) error {
		_, _, err := config.Parse([]byte(config.Empty+"plugins: [{type: "+typ+"}]\n"), o)
		return err
	}
	for _, typ := range []string{"round-robin-fairness-polcy", "concurency-detector", "fcfs-order-policy"} {
		if check(typ) == nil {
			t.Errorf("%s was left to the picker", typ)
		}
	}
	for _, typ := range []string{"active-request-filter", "lora-residency-filter", "served-model-filter", "load-aware-picker", "zmq-metrics-extractor", "header-phase-profile-handler", "label-producer", "openai-parser", "a-thing-of-ours"} {
		if err := check(typ); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

// stoppedBy is what is wrong with a file: the types that are not there, and whatever else.
func stoppedBy(t *testing.T, file string, o config.Options) (stops []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = config.Parse(data, o)
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		t.Fatalf("%s: %v", file, err)
	}
	for _, p := range problems {
		what := strings.Trim(p.Value, `"`)
		if !strings.HasSuffix(p.Path, ".type") {
			text, _, _ := strings.Cut(p.Text, ";")
			what = p.Path + ": " + text
		}
		stops = append(stops, what)
	}
	slices.Sort(stops)
	return slices.Compact(stops)
}
