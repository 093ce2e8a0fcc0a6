// Package markdown reads a repository's pages for the tests that hold them against the code.
package markdown

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Page is one Markdown file.
type Page struct {
	// Path is from the root, with slashes.
	Path string
	// Text is without what is in code blocks.
	Text   string
	Blocks []Block
}

// Block is a fenced code block.
type Block struct {
	// Language is the first word behind the fence, and Note the rest of that line.
	Language, Note string
	Body           string
}

// fence begins and ends a code block.
const fence = "```"

// Pages returns every Markdown file below a folder, except in what is built or fetched.
func Pages(root string) (found []Page, err error) {
	tree := os.DirFS(root)
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "bin" || d.Name() == ".git"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return fmt.Errorf("read a page: %w", err)
		}
		found = append(found, Parse(name, string(data)))
		return nil
	})
	return found, err
}

// Parse parts a page into its prose and its code blocks.
func Parse(name, data string) Page {
	p := Page{Path: name}
	var text, body strings.Builder
	inside := false
	for line := range strings.Lines(data) {
		info, fenced := strings.CutPrefix(strings.TrimSpace(line), fence)
		switch {
		case fenced && inside:
			p.Blocks[len(p.Blocks)-1].Body = body.String()
			inside = false
		case fenced:
			language, note, _ := strings.Cut(info, " ")
			p.Blocks = append(p.Blocks, Block{Language: language, Note: note})
			body.Reset()
			inside = true
		case inside:
			body.WriteString(line)
		default:
			text.WriteString(line)
		}
	}
	p.Text = text.String()
	return p
}
