package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// platform is the one whose binary the notices are for: the image's. Others link the same
// modules, or fewer.
var platform = []string{"GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS="}

const head = `Weir's binary contains the software named here, under the licences that follow. The source
of each module is what "go mod download MODULE@VERSION" fetches.
`

// linked is a package that is linked into the binary, as go list describes it.
type linked struct {
	ImportPath string
	Dir        string
	Standard   bool
	Module     *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// licence is a text and whom it is of.
type licence struct {
	text string
	of   []string
}

// notices returns the licences of what a command is linked from.
func notices(ctx context.Context, command string) (string, error) {
	packages, err := list(ctx, command)
	if err != nil {
		return "", err
	}
	var all []*licence
	byText := make(map[string]*licence)
	licensed := make(map[string]bool)
	add := func(name string, files ...string) error {
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			tidy := strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))
			l := byText[tidy]
			if l == nil {
				l = &licence{text: tidy}
				byText[tidy] = l
				all = append(all, l)
			}
			if !slices.Contains(l.of, name) {
				l.of = append(l.of, name)
			}
			licensed[name] = true
		}
		return nil
	}
	goroot, err := output(ctx, "env", "GOROOT")
	if err != nil {
		return "", err
	}
	if err := add("Go", filepath.Join(strings.TrimSpace(string(goroot)), "LICENSE")); err != nil {
		return "", err
	}
	var unlicensed []error
	for _, p := range packages {
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		files, err := licenceFiles(p.Module.Dir, p.Dir)
		if err != nil {
			return "", err
		}
		name := p.Module.Path + " " + p.Module.Version
		if err := add(name, files...); err != nil {
			return "", err
		}
		if !licensed[name] {
			unlicensed = append(unlicensed, fmt.Errorf("%s has no licence for %s", name, p.ImportPath))
		}
	}
	return write(all), errors.Join(unlicensed...)
}

// list lists the packages that a command is linked from, by import path.
func list(ctx context.Context, command string) ([]linked, error) {
	out, err := output(ctx, "list", "-deps", "-json=ImportPath,Dir,Standard,Module", command)
	if err != nil {
		return nil, err
	}
	var packages []linked
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p linked
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			slices.SortFunc(packages, func(a, b linked) int { return strings.Compare(a.ImportPath, b.ImportPath) })
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("read what go list says: %w", err)
		}
		packages = append(packages, p)
	}
}

func output(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), platform...)
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, e.Stderr)
	}
	return out, err
}

// licenceName is how files with licences and notices are named.
var licenceName = regexp.MustCompile(`(?i)^(LICEN[CS]E|COPYING|NOTICE|PATENTS)([-._].*)?$`)

// licenceFiles returns the files with licences in a module's folder, and in those between
// it and the folder of one of its packages: parts of a module may have one of their own.
func licenceFiles(module, dir string) ([]string, error) {
	var files []string
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Type().IsRegular() && licenceName.MatchString(e.Name()) && filepath.Ext(e.Name()) != ".go" {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
		if dir == module || !strings.HasPrefix(dir, module) {
			return files, nil
		}
		dir = filepath.Dir(dir)
	}
}

func write(all []*licence) string {
	var b strings.Builder
	b.WriteString(head)
	for _, l := range all {
		b.WriteString("\n" + strings.Repeat("=", 80) + "\n")
		for _, name := range l.of {
			b.WriteString(name + "\n")
		}
		b.WriteString(strings.Repeat("-", 80) + "\n\n" + l.text + "\n")
	}
	return b.String()
}
