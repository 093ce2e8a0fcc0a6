package app

import (
	"regexp"
	"strings"
	"testing"

	"github.com/weirflow/weir/internal/markdown"
	"github.com/weirflow/weir/policies/builtin"
)

// separator is between commands of a line.
var separator = regexp.MustCompile(`\||;|&&?|\$\(|\)`)

// commandsIn are the command lines of weir in a page's blocks, by their words.
func commandsIn(page markdown.Page) (lines [][]string) {
	for _, block := range page.Blocks {
		for line := range strings.Lines(strings.ReplaceAll(block.Body, "\\\n", " ")) {
			line, _, _ = strings.Cut(line, " #")
			for _, command := range separator.Split(line, -1) {
				command = strings.Replace(command, "go run ./cmd/weir", "weir", 1)
				words := strings.Fields(command)
				if len(words) > 1 && strings.TrimPrefix(words[0], "bin/") == "weir" {
					lines = append(lines, words[1:])
				}
			}
		}
	}
	return lines
}

// TestCommandsOfDocs wants every command of weir that a page shows to be one, with the flags
// that it is given there.
func TestCommandsOfDocs(t *testing.T) {
	root, found := newRoot(builtin.Registry()), 0
	pages, err := markdown.Pages("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		for _, words := range commandsIn(page) {
			found++
			command, rest, err := root.Find(words)
			if err != nil || command == root {
				t.Errorf("%s: there is no command weir %s", page.Path, strings.Join(words, " "))
				continue
			}
			command.InheritedFlags() // has Flags know them
			for _, word := range rest {
				flag, long := strings.CutPrefix(word, "--")
				flag, _, _ = strings.Cut(flag, "=")
				if long && command.Flags().Lookup(flag) == nil {
					t.Errorf("%s: %s has no flag --%s", page.Path, command.CommandPath(), flag)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d commands were found: the pattern is broken", found)
	}
}
