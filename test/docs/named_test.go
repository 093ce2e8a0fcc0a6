package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/weirflow/weir/internal/markdown"
)

// tree is what there is to name.
type tree struct {
	files   map[string]bool            // from the root, folders included
	members map[string]map[string]bool // by package or type: what it declares
	tests   map[string]bool            // functions that go test runs
	literal map[string]bool            // string literals, which name subtests and flags
	targets map[string]bool            // of the Makefile
}

func readTree(t *testing.T) *tree {
	t.Helper()
	tr := &tree{
		files: make(map[string]bool), members: make(map[string]map[string]bool), tests: make(map[string]bool),
		literal: make(map[string]bool), targets: make(map[string]bool),
	}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		}
		tr.files[name] = true
		if path.Ext(name) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		tr.read(file, strings.HasSuffix(name, "_test.go"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(string(makefile), -1) {
		tr.targets[m[1]] = true
	}
	return tr
}

var runnable = regexp.MustCompile(`^(Test|Benchmark|Fuzz|Example)`)

// read notes what a file declares.
func (tr *tree) read(file *ast.File, isTest bool) {
	pkg := strings.TrimSuffix(file.Name.Name, "_test")
	declare := func(of, name string) {
		if tr.members[of] == nil {
			tr.members[of] = make(map[string]bool)
		}
		tr.members[of][name] = true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
				tr.literal[s] = true
			}
		case *ast.FuncDecl:
			declare(pkg, n.Name.Name)
			if isTest && n.Recv == nil && runnable.MatchString(n.Name.Name) {
				tr.tests[n.Name.Name] = true
			}
			if n.Recv != nil {
				declare(receiver(n.Recv.List[0].Type), n.Name.Name)
			}
		case *ast.TypeSpec:
			declare(pkg, n.Name.Name)
			var fields *ast.FieldList
			switch typ := n.Type.(type) {
			case *ast.StructType:
				fields = typ.Fields
			case *ast.InterfaceType:
				fields = typ.Methods
			default:
				return true
			}
			for _, f := range fields.List {
				for _, name := range f.Names {
					declare(n.Name.Name, name.Name)
				}
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				declare(pkg, name.Name)
			}
		}
		return true
	})
}

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

var (
	isFile   = regexp.MustCompile(`^[\w.*-]+(/[\w.*-]+)*(/|\.(go|lua|txt|md|yaml|json|proto|svg))$`)
	isFolder = regexp.MustCompile(`^[a-z]+(/[a-z]+)+$`)
	isTest   = regexp.MustCompile(`^(Test|Benchmark|Fuzz|Example)([A-Z]\w*)?(/.+)?$`)
	isMake   = regexp.MustCompile(`^make ([a-z-]+)\b`)
	isMember = regexp.MustCompile(`^([A-Za-z]\w*)\.([A-Z]\w*)(?:\.([A-Z]\w*))?(?:\(\))?$`)
	isFlag   = regexp.MustCompile(`^--([a-z][a-z-]+)`)
)

// missing says what a span names that is not there, or nothing.
func (tr *tree) missing(span string, from markdown.Page) string {
	switch {
	case isTest.MatchString(span):
		m := isTest.FindStringSubmatch(span)
		if name := m[1] + m[2]; !tr.tests[name] {
			return "no test " + name
		}
		for _, sub := range strings.Split(strings.TrimPrefix(m[3], "/"), "/") {
			if sub != "" && !tr.literal[sub] && !tr.files["controller/core/testdata/"+sub+".txt"] {
				return "no subtest " + sub
			}
		}
	case isMake.MatchString(span):
		if target := isMake.FindStringSubmatch(span)[1]; !tr.targets[target] {
			return "no such target in the Makefile"
		}
	case isFlag.MatchString(span):
		if flag := isFlag.FindStringSubmatch(span)[1]; !tr.literal[flag] {
			return "no command has that flag"
		}
	case isMember.MatchString(span):
		m := isMember.FindStringSubmatch(span)
		of, known := tr.members[m[1]]
		if !known {
			return "" // another project's
		}
		if !of[m[2]] || m[3] != "" && !tr.members[m[2]][m[3]] {
			return "no such member"
		}
	case strings.Contains(span, "/") && (isFile.MatchString(span) || isFolder.MatchString(span)):
		name := strings.TrimSuffix(span, "/")
		if !tr.has(name) && !tr.has(path.Join(path.Dir(from.Path), name)) {
			return "no such file or folder"
		}
	}
	return ""
}

// has reports whether a file or folder of that name or pattern is there.
func (tr *tree) has(name string) bool {
	if !strings.Contains(name, "*") {
		return tr.files[name]
	}
	for file := range tr.files {
		if ok, err := path.Match(name, file); err == nil && ok {
			return true
		}
	}
	return false
}

// TestNamesExist looks up whatever a page puts in a code span and that looks like a
// file, a test, a target of make, a flag or a member of a package of this module.
func TestNamesExist(t *testing.T) {
	tr := readTree(t)
	looked := 0
	for _, p := range pages(t) {
		for _, s := range spans.FindAllStringSubmatch(p.Text, -1) {
			looked++
			if what := tr.missing(s[1], p); what != "" {
				t.Errorf("%s names `%s`: %s", p.Path, s[1], what)
			}
		}
	}
	if looked < 100 {
		t.Errorf("only %d spans were looked at: the pattern is broken", looked)
	}
}

// TestMissingIsSeen proves that the lookup can fail.
func TestMissingIsSeen(t *testing.T) {
	tr := readTree(t)
	readme := markdown.Page{Path: "README.md"}
	for _, span := range []string{
		"shard/nowhere.go", "shard/*.lua", "nowhere/", "store/nowhere", "TestNothing", "TestConformance/Nothing", "make nothing",
		"--no-such-flag", "store.Nothing", "store.Ledger.Nothing", "Ledger.Nothing",
	} {
		if tr.missing(span, readme) == "" {
			t.Errorf("`%s` passes, and there is no such thing", span)
		}
	}
	for _, span := range []string{
		"shard/doc.go", "store/redis/turn/*.lua", "controller/core/", "TestConformance", "TestConformance/LeaseEnds", "TestTranscripts/wipe",
		"make test", "--redis URL", "store.Ledger", "store.Ledger.Turn", "Ledger.Turn", "http.Handler", "some words",
	} {
		if what := tr.missing(span, readme); what != "" {
			t.Errorf("`%s` is said to be missing: %s", span, what)
		}
	}
}
