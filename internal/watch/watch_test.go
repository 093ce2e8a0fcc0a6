package watch_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/weirflow/weir/internal/watch"
)

func TestLook(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(a, "1")
	f := watch.New([]string{a})
	look := func(want bool, after string, names ...string) {
		t.Helper()
		if got := f.Look(names); got != want {
			t.Errorf("after %s: changed is %v, want %v", after, got, want)
		}
	}
	look(false, "nothing", a)
	write(a, "2")
	look(true, "a change", a)
	look(false, "nothing more", a)
	write(b, "1")
	look(false, "a first look at another file", a, b)
	write(b, "2")
	look(true, "a change of the other", a, b)
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	look(false, "a file went", a, b)
	write(a, "2")
	look(false, "it came back as it was", a, b)
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	look(false, "it went again", a, b)
	write(a, "3")
	look(true, "it came back with a change", a, b)
	if err := os.Rename(b, a); err != nil {
		t.Fatal(err)
	}
	look(true, "it was replaced", a)
}
