// Command typecheck checks the types of all packages and their tests for other systems, named by
// its arguments as GOOS has them. It reads the sources of what they import, and of these only
// declarations: compiling all of it for another system takes ten times as long and tells no more.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	here, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "typecheck:", err)
		os.Exit(1)
	}
	failed := false
	for _, system := range os.Args[1:] {
		all, err := packages.Load(&packages.Config{
			Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
				packages.NeedTypes | packages.NeedTypesSizes | packages.NeedSyntax,
			Env:   append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0"),
			Tests: true,
			ParseFile: func(files *token.FileSet, name string, text []byte) (*ast.File, error) {
				file, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
				if err == nil && !strings.HasPrefix(name, here+string(os.PathSeparator)) {
					leaveBodiesOut(file)
				}
				return file, err
			},
		}, "./...")
		if err != nil {
			fmt.Fprintf(os.Stderr, "typecheck: %s: %v\n", system, err)
			os.Exit(1)
		}
		for _, p := range all {
			if strings.HasSuffix(p.ID, ".test") {
				continue // made by go test, of functions without bodies here
			}
			for _, e := range p.Errors {
				failed = true
				fmt.Fprintf(os.Stderr, "%s: %v\n", system, e)
			}
		}
		fmt.Printf("%s: %d packages\n", system, len(all))
	}
	if failed {
		os.Exit(1)
	}
}

// leaveBodiesOut takes the bodies out of a file's functions.
func leaveBodiesOut(file *ast.File) {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			f.Body = nil
		}
	}
}
