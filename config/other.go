package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// other says what a document is that is no configuration file, and where in it one is: a ConfigMap or
// a chart's values hold one as text; "" for one that may be a configuration file.
func (d *decoder) other(n *yaml.Node) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	const unnamed = "a file of another kind"
	what := unnamed
	if kind := valueOf(n, "kind"); kind != nil {
		if kind.Value == Kind || kind.Kind != yaml.ScalarNode || kind.Value == "" {
			return ""
		}
		what = fmt.Sprintf("a %s", kind.Value)
	} else if valueOf(n, "apiVersion") != nil {
		return ""
	}
	left := maxNodes
	at := holder(n, "", &left)
	switch {
	case at != "":
		return fmt.Sprintf("%s is given, which holds the %s at %s: give that as a file of its own", what, Kind, at)
	case what != unnamed && valueOf(n, "metadata") != nil:
		return fmt.Sprintf("%s is given, the file must be an %s", what, Kind)
	}
	return ""
}

// holder is where a text within a node is a configuration file; "" for nowhere. It looks at no more
// nodes than are left.
func holder(n *yaml.Node, path string, left *int) string {
	if *left--; *left < 0 {
		return ""
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if strings.Contains(n.Value, "kind: "+Kind) && strings.Contains(n.Value, "\n") {
			return path
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if at := holder(n.Content[i+1], join(path, n.Content[i].Value), left); at != "" {
				return at
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if at := holder(item, indexed(path, i), left); at != "" {
				return at
			}
		}
	}
	return ""
}
