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

// answerRow is a row of the reference's table of answers: a status and a code.
var answerRow = regexp.MustCompile("(?m)^\\| [45][0-9][0-9] \\| `([a-z_]+)` \\|")

// TestAnswers compares the codes of the gateway's own answers with the reference's table.
func TestAnswers(t *testing.T) {
	reference, err := os.ReadFile(filepath.Join(root, "docs", "reference.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for _, row := range answerRow.FindAllStringSubmatch(string(reference), -1) {
		documented[row[1]] = true
	}
	given := refusalCodes(t)
	if len(given) < 15 {
		t.Errorf("only %d codes were found in gateway: the search is broken", len(given))
	}
	for code := range given {
		if !documented[code] {
			t.Errorf("docs/reference.md does not list the code %s", code)
		}
	}
	for code := range documented {
		if !given[code] {
			t.Errorf("docs/reference.md lists the code %s, which no answer has", code)
		}
	}
}

// refusalCodes returns the codes of all refusals that gateway and what is below it make.
func refusalCodes(t *testing.T) map[string]bool {
	t.Helper()
	codes := make(map[string]bool)
	err := filepath.WalkDir(filepath.Join(root, "gateway"), func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if ofRefusal(n.Type, "Refusal") {
					addCode(codes, codeField(n))
				}
			case *ast.CallExpr:
				if ofRefusal(n.Fun, "BadRequest") {
					addCode(codes, n.Args[0])
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return codes
}

// codeField is the field Code of a refusal, or nil.
func codeField(l *ast.CompositeLit) ast.Expr {
	for _, element := range l.Elts {
		if pair, keyed := element.(*ast.KeyValueExpr); keyed {
			if id, ok := pair.Key.(*ast.Ident); ok && id.Name == "Code" {
				return pair.Value
			}
		}
	}
	return nil
}

// ofRefusal reports whether an expression is that name of package refusal.
func ofRefusal(e ast.Expr, name string) bool {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	id, ok := selector.X.(*ast.Ident)
	return ok && id.Name == "refusal"
}

// addCode adds a code that is written out.
func addCode(codes map[string]bool, e ast.Expr) {
	if literal, ok := e.(*ast.BasicLit); ok {
		if code, err := strconv.Unquote(literal.Value); err == nil {
			codes[code] = true
		}
	}
}
