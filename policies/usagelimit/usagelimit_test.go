package usagelimit_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
)

func build(t *testing.T, typ, parameters string) policies.UsageLimitPolicy {
	t.Helper()
	p, err := builtin.Registry().New(typ, "", json.RawMessage(parameters))
	if err != nil {
		t.Fatal(err)
	}
	return p.(policies.UsageLimitPolicy)
}

func TestCeilings(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	priorities := []int{100, 10, 0}
	for _, c := range []struct {
		typ, parameters string
		saturation      float64
		priorities      []int
		want            []float64
	}{
		{"static-usage-limit-policy", ``, 1, priorities, []float64{1, 1, 1}},
		{"static-usage-limit-policy", `{"threshold": 0.5}`, 0, priorities, []float64{0.5, 0.5, 0.5}},
		{"priority-holdback-policy", `{"minCeiling": 0.5}`, 1, priorities, []float64{1, 0.75, 0.5}},
		{"priority-holdback-policy", `{"minCeiling": 0.5, "domain": "value", "maxCeiling": 0.9}`, 1, priorities, []float64{0.9, 0.54, 0.5}},
		{"priority-holdback-policy", `{"minCeiling": 0}`, 1, []int{7}, []float64{1}},
		{"soft-reflective-ceiling-policy", ``, 0.8, priorities, []float64{1, 0.6, 0.2}},
		{"soft-reflective-ceiling-policy", ``, 1.5, priorities, []float64{1, 0.5, 0}},
		{"soft-reflective-ceiling-policy", ``, 0.8, []int{7}, []float64{1}},
	} {
		got := build(t, c.typ, c.parameters).Ceilings(t.Context(), at.Add(100*time.Millisecond), c.saturation, c.priorities)
		if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })); diff != "" {
			t.Errorf("%s %s at %v: %s", c.typ, c.parameters, c.saturation, diff)
		}
	}
}

// TestSoftCeilingsOpen counts how often a band that is past its ceiling opens.
func TestSoftCeilingsOpen(t *testing.T) {
	p := build(t, "soft-reflective-ceiling-policy", ``)
	open := 0
	for n := range 1000 {
		if p.Ceilings(t.Context(), time.Unix(1_800_000_000, 0).Add(time.Duration(n)*100*time.Millisecond), 0.9, []int{1, 0})[1] == 1 {
			open++
		}
	}
	if open < 1000/9 || open > 1000/9+1 {
		t.Errorf("open %d of 1000 times at a saturation of 0.9, want one in 9", open)
	}
}

func TestParameters(t *testing.T) {
	for typ, all := range map[string][]string{
		"priority-holdback-policy": {
			``, `{"minCeiling": 0.9, "maxCeiling": 0.5}`, `{"minCeiling": -0.1}`, `{"minCeiling": 0.5, "maxCeiling": 2}`,
			`{"minCeiling": 0.5, "shape": "square"}`, `{"minCeiling": 0.5, "domain": "name"}`,
		},
		"soft-reflective-ceiling-policy": {`{"x": 1}`},
	} {
		for _, parameters := range all {
			if _, err := builtin.Registry().New(typ, "", json.RawMessage(parameters)); !errors.Is(err, policies.ErrParameters) {
				t.Errorf("%s %s: %v, want ErrParameters", typ, parameters, err)
			}
		}
	}
}
