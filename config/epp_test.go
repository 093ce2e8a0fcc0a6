package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/weirflow/weir/config"
)

// TestFilesOfTodaysPickers says of each published file what Weir does with it where it
// picks itself: that it takes it, or what stops it.
func TestFilesOfTodaysPickers(t *testing.T) {
	files, err := filepath.Glob("testdata/epp/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	datadriven.RunTest(t, "testdata/epp.txt", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		taken := 0
		for _, file := range files {
			said := "accepted"
			if stops := stoppedBy(t, file, withServer()); len(stops) > 0 {
				said = strings.Join(stops, ", ")
			} else {
				taken++
			}
			fmt.Fprintf(&out, "%s: %s\n", strings.TrimSuffix(filepath.Base(file), ".yaml"), said)
		}
		fmt.Fprintf(&out, "%d of %d\n", taken, len(files))
		return out.String()
	})
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
