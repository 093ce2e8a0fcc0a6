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
