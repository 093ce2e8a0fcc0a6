package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// folder is where the benchmarks are, and needs what they use that is nothing of Weir's: an
// older base may not have it.
const folder, needs = "test/bench", "test/delay"

// program is a test binary, and which of its benchmarks not to run.
type program struct{ path, skip string }

// buildBase builds the benchmarks for a commit: those of the working tree as far as they
// compile there, and, where some do not, the commit's own, less those that the first has.
func buildBase(ctx context.Context, dir, commit string) (programs []program, err error) {
	tree := filepath.Join(dir, "base")
	if err := command(ctx, "", "git", "worktree", "add", "--detach", "--quiet", tree, commit); err != nil {
		return nil, fmt.Errorf("check out %s: %w", commit, err)
	}
	defer func() {
		_ = command(context.WithoutCancel(ctx), "", "git", "worktree", "remove", "--force", tree)
	}()
	own, ours := filepath.Join(dir, "own.test"), filepath.Join(dir, "base.test")
	if _, err := os.Stat(filepath.Join(tree, folder)); err == nil {
		if err := command(ctx, tree, "go", "test", "-c", "-o", own, "./"+folder); err != nil {
			return nil, fmt.Errorf("build the benchmarks of %s: %w", commit, err)
		}
	}
	theirs, err := filepath.Glob(filepath.Join(tree, folder, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, file := range theirs {
		if err := os.Remove(file); err != nil {
			return nil, err
		}
	}
	for _, from := range []string{folder, needs} {
		if err := copyFiles(from, filepath.Join(tree, from)); err != nil {
			return nil, err
		}
	}
	left, err := buildWhatCompiles(ctx, tree, ours)
	if err != nil {
		return nil, fmt.Errorf("build the benchmarks for %s: %w", commit, err)
	}
	programs = []program{{path: ours}}
	if len(left) == 0 {
		return programs, nil
	}
	fmt.Fprintf(os.Stderr, "compare: does not compile in %s, and is left out there: %s\n", commit, strings.Join(left, ", "))
	if _, err := os.Stat(own); err != nil {
		return programs, nil //nolint:nilerr // it has none of its own
	}
	list := exec.CommandContext(ctx, ours, "-test.list", "^Benchmark")
	list.Dir = folder
	names, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the benchmarks: %w", err)
	}
	return append(programs, program{own, "^(" + strings.Join(strings.Fields(string(names)), "|") + ")$"}), nil
}

// copyFiles copies the Go files of a folder into another.
func copyFiles(from, to string) error {
	files, err := filepath.Glob(filepath.Join(from, "*.go"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil { //nolint:gosec // a checkout's folder
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), text, 0o644); err != nil { //nolint:gosec // a checkout's file
			return err
		}
	}
	return nil
}

// inError finds the files in which a compiler found an error.
var inError = regexp.MustCompile(`(?m)^(` + folder + `/[a-z_]+_test\.go):\d+:\d+: `)

// buildWhatCompiles builds the benchmarks of a tree without the files in which there is an
// error, which it returns.
func buildWhatCompiles(ctx context.Context, tree, binary string) (left []string, err error) {
	for {
		var said bytes.Buffer
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-gcflags=-e", "-o", binary, "./"+folder)
		cmd.Dir, cmd.Stderr = tree, &said
		err := cmd.Run()
		if err == nil {
			return left, nil
		}
		found := inError.FindAllStringSubmatch(said.String(), -1)
		if len(found) == 0 {
			return nil, fmt.Errorf("%w\n%s", err, &said)
		}
		for _, f := range found {
			if name := filepath.Base(f[1]); !slices.Contains(left, name) {
				left = append(left, name)
				if err := os.Remove(filepath.Join(tree, f[1])); err != nil {
					return nil, err
				}
			}
		}
	}
}
