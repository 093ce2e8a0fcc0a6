package docs

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository's folder.
const root = "../.."

// page is one Markdown file.
type page struct {
	path  string // from the root, with slashes
	whole string
	text  string // without what is in code blocks
}

// pages returns every Markdown file of the repository.
func pages(t *testing.T) []page {
	t.Helper()
	var found []page
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "bin" || d.Name() == ".git"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		text, _ := split(string(data))
		found = append(found, page{path: name, whole: string(data), text: text})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 20 {
		t.Fatalf("only %d pages were found: the walk is broken", len(found))
	}
	return found
}

// split parts a page into its prose and its code blocks.
func split(data string) (text, code string) {
	parts := [2]strings.Builder{}
	in := 0
	for line := range strings.Lines(data) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			in = 1 - in
			continue
		}
		parts[in].WriteString(line)
	}
	return parts[0].String(), parts[1].String()
}

var (
	links    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	spans    = regexp.MustCompile("`([^`\n]+)`")
	headings = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	notWord  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the names by which a page's headings can be linked to.
func (p page) anchors() map[string]bool {
	names := make(map[string]bool)
	for _, h := range headings.FindAllStringSubmatch(p.text, -1) {
		names[strings.ReplaceAll(notWord.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
	}
	return names
}

// TestLinks follows every link that does not leave the repository.
func TestLinks(t *testing.T) {
	all := make(map[string]page)
	for _, p := range pages(t) {
		all[p.path] = p
	}
	followed := 0
	for _, p := range all {
		for _, l := range links.FindAllStringSubmatch(p.text, -1) {
			if strings.Contains(l[1], "://") || strings.HasPrefix(l[1], "mailto:") {
				continue
			}
			followed++
			file, anchor, _ := strings.Cut(l[1], "#")
			to := p.path
			if file != "" {
				to = path.Join(path.Dir(p.path), file)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s links to %s, which is not there", p.path, l[1])
				continue
			}
			if other, isPage := all[to]; anchor != "" && (!isPage || !other.anchors()[anchor]) {
				t.Errorf("%s links to %s, which has no such heading", p.path, l[1])
			}
		}
	}
	if followed < 50 {
		t.Errorf("only %d links were followed: the pattern is broken", followed)
	}
}

// TestReadme keeps the first page short, and what is to be typed within a terminal.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), "\n"); n > 150 {
		t.Errorf("README.md has %d lines, at most 150 are read", n)
	}
	_, code := split(string(data))
	for line := range strings.Lines(code) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("a line to type has %d columns, a terminal has 80: %s", n, line)
		}
	}
}
