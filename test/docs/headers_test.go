package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	// aHeader is the name of a header that is not one of HTTP's own.
	aHeader = regexp.MustCompile(`(?i)^x-[a-z0-9-]*[a-z0-9]$`)
	// headerSpan is one that the reference names.
	headerSpan = regexp.MustCompile("`(x-[a-z0-9-]*[a-z0-9])[`:]")
)

// TestHeaders compares the headers that the gateway reads and writes with those of the reference.
func TestHeaders(t *testing.T) {
	reference, err := os.ReadFile(filepath.Join(root, "docs", "reference.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]bool)
	for _, span := range headerSpan.FindAllStringSubmatch(string(reference), -1) {
		told[span[1]] = true
	}
	known := headersOf(t, "gateway")
	if len(known) < 20 {
		t.Errorf("only %d headers were found in gateway: the search is broken", len(known))
	}
	for name, file := range known {
		if !told[name] {
			t.Errorf("docs/reference.md does not name the header %s of %s", name, file)
		}
	}
	for name := range told {
		if known[name] == "" {
			t.Errorf("docs/reference.md names the header %s, of which the gateway knows nothing", name)
		}
	}
}

// headersOf returns the names of headers in a folder's code, but for the console's own, each with a
// file that has it.
func headersOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(filepath.Join(root, folder), func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "admin" || d.Name() == "internal"):
			return fs.SkipDir
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if text, err := strconv.Unquote(l.Value); err == nil && aHeader.MatchString(text) {
					found[strings.ToLower(text)] = name
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
