package config

import (
	"fmt"
	"math"

	"go.yaml.in/yaml/v3"
)

// mergeTag is the tag of the key "<<", whose value's fields are taken over.
const mergeTag = "!!merge"

// merged is a mapping's content with what it takes over from others ("<<: *name"), behind its own
// fields: of two of a name its own holds, and of two that are taken over the first.
func (d *decoder) merged(n *yaml.Node) []*yaml.Node {
	var content, from []*yaml.Node
	has := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; key.Tag == mergeTag {
			from = append(from, n.Content[i+1])
		} else {
			content = append(content, key, n.Content[i+1])
			has[key.Value] = true
		}
	}
	for len(from) > 0 {
		next := from[0]
		from = from[1:]
		for next.Kind == yaml.AliasNode {
			next = next.Alias
		}
		if d.nodes++; d.nodes > maxNodes {
			break // which is reported for what is read next
		}
		if next.Kind == yaml.SequenceNode {
			from = append(append([]*yaml.Node{}, next.Content...), from...)
			continue
		}
		for i := 0; next.Kind == yaml.MappingNode && i+1 < len(next.Content); i += 2 {
			switch key := next.Content[i]; {
			case key.Tag == mergeTag:
				from = append([]*yaml.Node{next.Content[i+1]}, from...)
			case !has[key.Value]:
				content = append(content, key, next.Content[i+1])
				has[key.Value] = true
			}
		}
	}
	return content
}

// distinct reports a key that a mapping within a node has twice.
func distinct(n *yaml.Node) error {
	seen := make(map[*yaml.Node]bool)
	var look func(*yaml.Node) error
	look = func(n *yaml.Node) error {
		if seen[n] {
			return nil
		}
		seen[n] = true
		keys := make(map[string]int)
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 && child.Kind == yaml.ScalarNode && child.Tag != mergeTag {
				if before, twice := keys[child.Value]; twice {
					return fmt.Errorf("%q is given twice, on lines %d and %d", child.Value, before, child.Line)
				}
				keys[child.Value] = child.Line
			}
			if err := look(child); err != nil {
				return err
			}
		}
		return nil
	}
	return look(n)
}

// jsonable is a value with only what JSON has: keys are text, and numbers are finite.
func jsonable(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			if v[key], err = jsonable(v[key]); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
	case map[any]any:
		all := make(map[string]any, len(v))
		for key, value := range v {
			name := fmt.Sprint(key)
			if all[name], err = jsonable(value); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		return all, nil
	case []any:
		for i := range v {
			if v[i], err = jsonable(v[i]); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, fmt.Errorf("%v is given, a finite number is needed", v)
		}
	}
	return v, nil
}
