package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weirflow/weir/internal/markdown"
)

// root is the repository's folder.
const root = "../.."

// pages returns every Markdown file of the repository.
func pages(t *testing.T) []markdown.Page {
	t.Helper()
	found, err := markdown.Pages(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 20 {
		t.Fatalf("only %d pages were found: the walk is broken", len(found))
	}
	return found
}

// pageAt returns one of them.
func pageAt(t *testing.T, name string) markdown.Page {
	t.Helper()
	all := pages(t)
	at := slices.IndexFunc(all, func(p markdown.Page) bool { return p.Path == name })
	if at < 0 {
		t.Fatalf("there is no page %s", name)
	}
	return all[at]
}

var (
	links    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	spans    = regexp.MustCompile("`([^`\n]+)`")
	headings = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	notWord  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the names by which a page's headings can be linked to.
func anchors(p markdown.Page) map[string]bool {
	names := make(map[string]bool)
	for _, h := range headings.FindAllStringSubmatch(p.Text, -1) {
		names[strings.ReplaceAll(notWord.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
	}
	return names
}

// TestLinks follows every link that does not leave the repository.
func TestLinks(t *testing.T) {
	all := make(map[string]markdown.Page)
	for _, p := range pages(t) {
		all[p.Path] = p
	}
	followed := 0
	for _, p := range all {
		for _, l := range links.FindAllStringSubmatch(p.Text, -1) {
			if strings.Contains(l[1], "://") || strings.HasPrefix(l[1], "mailto:") {
				continue
			}
			followed++
			file, anchor, _ := strings.Cut(l[1], "#")
			to := p.Path
			if file != "" {
				to = path.Join(path.Dir(p.Path), file)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s links to %s, which is not there", p.Path, l[1])
				continue
			}
			if other, isPage := all[to]; anchor != "" && (!isPage || !anchors(other)[anchor]) {
				t.Errorf("%s links to %s, which has no such heading", p.Path, l[1])
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
	for _, block := range pageAt(t, "README.md").Blocks {
		for line := range strings.Lines(block.Body) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
				t.Errorf("a line to type has %d columns, a terminal has 80: %s", n, line)
			}
		}
	}
}
