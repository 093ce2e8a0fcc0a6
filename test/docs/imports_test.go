package docs

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const module = "github.com/weirflow/weir/"

// layers are the packages that docs/architecture.md draws, each with its line, the topmost
// first. A package that it does not name belongs to the one that it lies in.
func layers(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile(root + "/docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, drawn, _ := strings.Cut(string(text), "```\n")
	drawn, _, _ = strings.Cut(drawn, "```")
	lines := make(map[string]int)
	for n, line := range strings.Split(strings.TrimSpace(drawn), "\n") {
		columns := regexp.MustCompile(` {2,}`).Split(line, -1) // of which the last says what they are
		for _, name := range columns[:len(columns)-1] {
			lines[name] = n
		}
	}
	return lines
}

// roomOf is the drawn package that a package lies in.
func roomOf(name string, lines map[string]int) (room string, drawn bool) {
	for room = name; room != ""; room = room[:max(strings.LastIndex(room, "/"), 0)] {
		if _, drawn = lines[room]; drawn {
			break
		}
	}
	return room, drawn
}

// TestImportsPointDown wants every package to import only from lines below its own in the
// drawing of docs/architecture.md.
func TestImportsPointDown(t *testing.T) {
	lines := layers(t)
	list := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...")
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		importer, imports, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), module), " ")
		from, drawn := roomOf(importer, lines)
		if seen[from] = true; !drawn || importer == "policies/policytest" {
			continue
		}
		for imported := range strings.FieldsSeq(imports) {
			imported, ours := strings.CutPrefix(imported, module)
			to, drawn := roomOf(imported, lines)
			switch {
			case !ours || from == to:
			case !drawn:
				t.Errorf("%s imports %s, which is not in the drawing", importer, imported)
			case lines[to] <= lines[from]:
				t.Errorf("%s imports %s, which is not below it", importer, imported)
			}
		}
	}
	for room := range lines {
		if !seen[room] {
			t.Errorf("the drawing has %s, which is no package", room)
		}
	}
}
