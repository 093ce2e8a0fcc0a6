package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What does not compile in the base is left out there, with what needs it, and the rest is
// built.
func TestBuildWhatCompiles(t *testing.T) {
	tree := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module old\n\ngo 1.26\n")
	write("test/bench/doc.go", "package bench\n")
	write("test/bench/both_test.go", "package bench\n\nimport \"testing\"\n\nfunc BenchmarkBoth(b *testing.B) {}\n")
	write("test/bench/later_test.go", "package bench\n\nfunc later() int { return notThereYet }\n\nfunc alsoLater() {}\n")
	write("test/bench/needs_test.go", "package bench\n\nvar _ = later\nfunc init() { alsoLater() }\n")
	binary := filepath.Join(tree, "bench.test")
	left, err := buildWhatCompiles(t.Context(), tree, binary)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Sort(left); !slices.Equal(left, []string{"later_test.go", "needs_test.go"}) {
		t.Errorf("left out: %v", left)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Error(err)
	}
	write("test/bench/doc.go", "package bench\n\nvar _ = notThereYet\n")
	if _, err := buildWhatCompiles(t.Context(), tree, binary); err == nil {
		t.Error("builds although the folder itself does not compile")
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{4, 2}, 3}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.values); got != c.want {
			t.Errorf("of %v: %v, want %v", c.values, got, c.want)
		}
	}
}
