package markdown

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestParse parts prose from blocks, also from those in a list.
func TestParse(t *testing.T) {
	got := Parse("a.md", "# A\n```sh not run: why\nls\n```\nb\n- c\n  ```\n  d\n  ```\ne\n")
	want := Page{Path: "a.md", Text: "# A\nb\n- c\ne\n", Blocks: []Block{{"sh", "not run: why", "ls\n"}, {"", "", "  d\n"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestPages finds pages in folders, and none in what is fetched.
func TestPages(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"a.md", "b/c.md", "b/d.txt", "node_modules/e.md"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte("# "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Pages(root)
	if want := []Page{{Path: "a.md", Text: "# a.md"}, {Path: "b/c.md", Text: "# b/c.md"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}
