package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
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
		t.Errorf("only %d codes were found in package gateway: the search is broken", len(given))
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

// refusalCodes returns the codes of all refusals that package gateway makes.
func refusalCodes(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "gateway", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]bool)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if named(n.Type, "refusal") {
					addCode(codes, codeField(n))
				}
			case *ast.CallExpr:
				if named(n.Fun, "badRequest") {
					addCode(codes, n.Args[0])
				}
			}
			return true
		})
	}
	return codes
}

// codeField is the field code of a refusal, with field names or without.
func codeField(l *ast.CompositeLit) ast.Expr {
	for i, element := range l.Elts {
		pair, keyed := element.(*ast.KeyValueExpr)
		switch {
		case keyed && named(pair.Key, "code"):
			return pair.Value
		case !keyed && i == 1:
			return element
		}
	}
	return nil
}

func named(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// addCode adds a code that is written out; badRequest's parameter is not.
func addCode(codes map[string]bool, e ast.Expr) {
	if literal, ok := e.(*ast.BasicLit); ok {
		if code, err := strconv.Unquote(literal.Value); err == nil {
			codes[code] = true
		}
	}
}
