package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weirflow/weir/gateway/endpoints"
)

// Adoption is what becomes of a file of today's Endpoint Pickers where Weir takes over its
// flow control and the picker keeps choosing endpoints.
type Adoption struct {
	// Plan is what Weir does.
	Plan *Plan
	// Picker and Weir are the two files that result.
	Picker, Weir []byte
	// Kept are the types of the plug-ins that only the picker keeps, sorted.
	Kept []string
}

// Adopt splits a file. The options' flags say which picker there is and where endpoints come
// from; the file that results for Weir names the picker, and the endpoints are left to flags.
// The error, if any, is Problems.
func Adopt(data []byte, o Options) (*Adoption, Problems, error) {
	plan, warnings, err := Parse(data, o)
	if err != nil {
		return nil, warnings, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, warnings, fmt.Errorf("read the file again: %w", err)
	}
	a := &Adoption{Plan: plan}
	b := plan.from
	types := make(map[string]bool)
	flowControl := func(plugin *yaml.Node) bool { return b.isFlowControl(fieldOf(plugin, "type")) }
	reads := []string{endpoints.FileDiscoveryType, endpoints.MetricsDataSourceType, endpoints.CoreMetricsExtractorType}
	root := document.Content[0]
	theirs := filtered(root, map[string]func(*yaml.Node) *yaml.Node{
		"flowControl": drop, "saturationDetector": drop, "weir": drop,
		"featureGates": func(n *yaml.Node) *yaml.Node {
			return without(n, func(gate *yaml.Node) bool { return strings.HasPrefix(gate.Value, "flowControl") })
		},
		"plugins": func(n *yaml.Node) *yaml.Node {
			return without(n, func(p *yaml.Node) bool {
				return flowControl(p) && !slices.Contains(reads, fieldOf(p, "type")) && !referred(root, p)
			})
		},
	})
	ours := filtered(root, map[string]func(*yaml.Node) *yaml.Node{
		"schedulingProfiles": drop, "requestHandler": drop, "parser": drop, "featureGates": drop, "weir": drop,
		"dataLayer": func(n *yaml.Node) *yaml.Node {
			return nonEmpty(filtered(n, map[string]func(*yaml.Node) *yaml.Node{"sources": drop, "injectDefaults": drop, "crossReplica": drop, "peerDiscovery": drop}))
		},
		"plugins": func(n *yaml.Node) *yaml.Node {
			return without(n, func(p *yaml.Node) bool {
				if flowControl(p) {
					return false
				}
				types[fieldOf(p, "type")] = true
				return true
			})
		},
	})
	a.Kept = slices.Sorted(maps.Keys(types))
	own := valueOf(root, "weir")
	if own == nil {
		own = &yaml.Node{}
		if err := own.Encode(map[string]any{"extProc": map[string]any{
			"listen": plan.File.Weir.ExtProc.Listen, "picker": map[string]any{"addresses": plan.File.Weir.ExtProc.Picker.Addresses},
		}}); err != nil {
			return nil, warnings, fmt.Errorf("write the picker's address: %w", err)
		}
	}
	ours.Content = append(ours.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "weir"}, own)
	if a.Picker, err = asText(theirs); err != nil {
		return nil, warnings, err
	}
	a.Weir, err = asText(ours)
	return a, warnings, err
}

// referred reports whether a profile refers to a plug-in, as it may to a detector, which is a
// filter there.
func referred(root, plugin *yaml.Node) bool {
	name := fieldOf(plugin, "name")
	if name == "" {
		name = fieldOf(plugin, "type")
	}
	profiles := valueOf(root, "schedulingProfiles")
	if profiles == nil {
		return false
	}
	for _, profile := range profiles.Content {
		refs := valueOf(profile, "plugins")
		if refs != nil && slices.ContainsFunc(refs.Content, func(ref *yaml.Node) bool { return fieldOf(ref, "pluginRef") == name }) {
			return true
		}
	}
	return false
}

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
