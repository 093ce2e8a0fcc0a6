package config_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/weirflow/weir/config"
)

// pageHead is what the page of all fields begins with.
const pageHead = `# Configuration

All fields of a file, written from their declarations by ` + "`make schema`" + `. What they are for is in
the [reference](reference.md), [shares](shares.md), [pools](pools.md) and
[endpoints](../gateway/endpoints/README.md); the parameters of plug-ins are with the policies, such
as [fairness](../policies/fairness/README.md). ` + "`weir config check FILE`" + ` says what is wrong with a file, by line,
` + "`weir config print FILE`" + ` prints it with defaults, and ` + "`weir config schema`" + ` prints the JSON schema, for editors.

Fields without a default may be left out, but for those in bold. A duration is such as ` + "`250ms`" + ` or
` + "`1m30s`" + `, a quantity such as ` + "`512`" + `, ` + "`64Ki`" + ` or ` + "`1G`" + `.
`

// TestSchemaPage holds docs/configuration.md against the types; WEIR_REWRITE=1 writes it.
func TestSchemaPage(t *testing.T) {
	text, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema node
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	p := page{seen: make(map[string]*node)}
	p.out.WriteString(pageHead)
	var plain []string
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		if schema.Properties[name].fields() == nil {
			plain = append(plain, name)
		}
	}
	p.section("The file", &schema, "", plain)
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		if top := schema.Properties[name]; top.fields() != nil {
			p.section("`"+name+"`", top, name, slices.Sorted(maps.Keys(top.fields().Properties)))
		}
	}
	const file = "../docs/configuration.md"
	want, err := os.ReadFile(file)
	if err == nil && string(want) == p.out.String() {
		return
	}
	if os.Getenv("WEIR_REWRITE") != "" {
		if err := os.WriteFile(file, []byte(p.out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s is not what the types say; make schema writes it anew (%v)", file, err)
}

// node is a part of the schema.
type node struct {
	Description string
	Type        any
	Pattern     string
	Enum        []string
	Default     json.RawMessage
	Required    []string
	Properties  map[string]*node
	Items       *node
}

// fields is what has the fields of an object, or of each of a list; nil for what has none.
func (n *node) fields() *node {
	switch {
	case n.Properties != nil:
		return n
	case n.Items != nil:
		return n.Items.fields()
	}
	return nil
}

// kind is what a value is, in a word.
func (n *node) kind() string {
	switch {
	case n.Enum != nil:
		return "`" + strings.Join(n.Enum, "`, `") + "`"
	case n.Items != nil && n.Items.fields() == nil:
		return "list of " + n.Items.kind()
	case n.Items != nil:
		return "list"
	case n.Properties != nil:
		return ""
	case strings.Contains(n.Pattern, "ms"):
		return "duration"
	case strings.Contains(n.Pattern, "Ki"), strings.Contains(n.Pattern, "MGTP"):
		return "quantity"
	case strings.Contains(n.Pattern, "|"):
		return "percentage or number"
	case n.Pattern != "":
		return "percentage"
	case n.Type == nil:
		return "any"
	}
	return fmt.Sprint(n.Type)
}

// page is what is written. Objects that were shown before, under a name, are referred to.
type page struct {
	out  strings.Builder
	seen map[string]*node
}

func (p *page) section(title string, n *node, path string, names []string) {
	fmt.Fprintf(&p.out, "\n## %s\n\n", title)
	if n.Description != "" {
		fmt.Fprintf(&p.out, "%s.\n\n", strings.TrimSuffix(n.Description, "."))
	}
	if path != "" {
		p.seen[path] = n.fields()
	}
	p.out.WriteString("| field | value | default | |\n| --- | --- | --- | --- |\n")
	p.rows(n.fields(), prefix(n, path), names)
}

// prefix is what stands before the names of a part's fields.
func prefix(n *node, path string) string {
	switch {
	case path == "":
		return ""
	case n.Items != nil:
		return path + "[]."
	}
	return path + "."
}

// same is where an object of that name with the same fields was shown; empty for nowhere.
func (p *page) same(name string, n *node) string {
	if n == nil {
		return ""
	}
	fields := slices.Sorted(maps.Keys(n.Properties))
	for _, path := range slices.Sorted(maps.Keys(p.seen)) {
		if path[strings.LastIndex(path, ".")+1:] == name && slices.Equal(fields, slices.Sorted(maps.Keys(p.seen[path].Properties))) {
			return path
		}
	}
	return ""
}

// rows writes a line for each field, and for those below it.
func (p *page) rows(n *node, before string, names []string) {
	for _, name := range names {
		f, path := n.Properties[name], before+name
		field, value := "`"+path+"`", ""
		if slices.Contains(n.Required, name) {
			field = "**" + field + "**"
		}
		if f.Default != nil {
			value = "`" + strings.Trim(string(f.Default), `"`) + "`"
		}
		below := f.fields()
		description, same := f.Description, p.same(name, below)
		if same != "" {
			description += "; its fields are those of `" + same + "`"
		}
		fmt.Fprintf(&p.out, "| %s | %s | %s | %s |\n", field, f.kind(), value, strings.ReplaceAll(strings.TrimPrefix(description, "; "), "|", `\|`))
		if below != nil && same == "" {
			p.seen[path] = below
			p.rows(below, prefix(f, path), slices.Sorted(maps.Keys(below.Properties)))
		}
	}
}
