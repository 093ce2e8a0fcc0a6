package rewrites_test

import (
	"testing"

	"github.com/weirflow/weir/gateway/rewrites"
)

func TestTable(t *testing.T) {
	var table rewrites.Table
	if got := table.Of("a"); got != "a" {
		t.Errorf("without rules a becomes %s", got)
	}
	table.Set([]rewrites.Rule{
		{Targets: []rewrites.Target{{"default", 1}}},
		{Models: []string{"a", "b"}, Targets: []rewrites.Target{{"a-1", 90}, {"a-2", 10}, {"a-3", 0}}},
		{Models: []string{"b"}, Targets: []rewrites.Target{{"never", 1}}},
		{Models: []string{"kept"}, Targets: []rewrites.Target{{"none", 0}}},
	})
	for model, want := range map[string]string{"c": "default", "kept": "kept"} {
		if got := table.Of(model); got != want {
			t.Errorf("%s becomes %s, want %s", model, got, want)
		}
	}
	got := make(map[string]int)
	for range 10_000 {
		got[table.Of("b")]++
	}
	if got["a-1"]+got["a-2"] != 10_000 || got["a-2"] < 800 || got["a-2"] > 1200 {
		t.Errorf("of 10000: %v, want a tenth for a-2 and the rest for a-1", got)
	}
	table.Set(nil)
	if got := table.Of("a"); got != "a" {
		t.Errorf("once the rules are gone a becomes %s", got)
	}
}
