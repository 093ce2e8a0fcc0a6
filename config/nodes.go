package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// filtered is a mapping whose fields of the names given become what is made of them; nil
// leaves a field out.
func filtered(n *yaml.Node, made map[string]func(*yaml.Node) *yaml.Node) *yaml.Node {
	out := *n
	out.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		value := n.Content[i+1]
		if change := made[n.Content[i].Value]; change != nil {
			value = change(value)
		}
		if value != nil {
			out.Content = append(out.Content, n.Content[i], value)
		}
	}
	return &out
}

func drop(*yaml.Node) *yaml.Node { return nil }

// without is a list without some items; nil if none is left.
func without(n *yaml.Node, item func(*yaml.Node) bool) *yaml.Node {
	out := *n
	out.Content = slices.DeleteFunc(slices.Clone(n.Content), item)
	return nonEmpty(&out)
}

func nonEmpty(n *yaml.Node) *yaml.Node {
	if len(n.Content) == 0 {
		return nil
	}
	return n
}

// unaliased is a node with what its aliases stand for in their places, so that parts of it can be
// taken out. None may stand for what it is in.
func unaliased(n *yaml.Node) *yaml.Node {
	out := *resolved(n)
	out.Anchor, out.Content = "", slices.Clone(out.Content)
	for i := range out.Content {
		out.Content[i] = unaliased(out.Content[i])
	}
	return &out
}

// valueOf is a field of a mapping; nil if it has none of the name.
func valueOf(n *yaml.Node, name string) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func fieldOf(n *yaml.Node, name string) string {
	if v := valueOf(n, name); v != nil {
		return v.Value
	}
	return ""
}

func asText(n *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(n), e.Close()); err != nil {
		return nil, fmt.Errorf("write the file that results: %w", err)
	}
	return out.Bytes(), nil
}

// lookUp is the field at a path of names; nil if there is none.
func lookUp(n *yaml.Node, path string) *yaml.Node {
	for _, name := range strings.Split(path, ".") {
		if n = valueOf(n, name); n == nil {
			return nil
		}
	}
	return n
}

// set puts a value at a path of names, and makes the mappings on the way there.
func set(n *yaml.Node, path string, value *yaml.Node) {
	name, rest, deeper := strings.Cut(path, ".")
	at := slices.Index(fieldNames(n), name)
	if at < 0 {
		at = len(n.Content) / 2
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, &yaml.Node{Kind: yaml.MappingNode})
	}
	if deeper {
		set(n.Content[2*at+1], rest, value)
	} else {
		n.Content[2*at+1] = value
	}
}

// remove takes the field at a path out.
func remove(n *yaml.Node, path string) {
	parent, name := n, path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		parent, name = lookUp(n, path[:i]), path[i+1:]
	}
	if parent == nil {
		return
	}
	if at := slices.Index(fieldNames(parent), name); at >= 0 {
		parent.Content = slices.Delete(parent.Content, 2*at, 2*at+2)
	}
}

// fieldNames are the names of a mapping's fields, in their order.
func fieldNames(n *yaml.Node) (names []string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		names = append(names, n.Content[i].Value)
	}
	return names
}
