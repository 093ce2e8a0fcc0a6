package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weirflow/weir/policies"
)

// fairnessPolicy is what a plug-in is that chooses the flow.
const fairnessPolicy = "fairness policy"

// refer looks a plug-in up, which must be of the kind named.
func refer[P any](b *builder, path, ref, kind string, lookup func(string) (P, error)) P {
	p, err := lookup(ref)
	if err != nil {
		b.unresolved(path, ref, kind, namesOf[P](b), err)
	}
	return p
}

// unresolved reports a reference that leads to nothing of its kind; names are what
// there is of it.
func (b *builder) unresolved(path, ref, kind string, names []string, err error) {
	switch {
	case ref == "":
		b.wrong(path, "is missing; name a %s", kind)
	case b.left[ref]:
		b.wrong(path, "is of type %s, which is no %s that Weir has; there are: %s", b.named[ref], kind, strings.Join(names, ", "))
	case b.unknown[ref] && errors.Is(err, policies.ErrUnknownPlugin): // it was declared, and is wrong there
		if at, untold := b.untold[ref]; untold && b.named[ref] != "" && !slices.Contains(theirs, b.named[ref]) {
			b.wrong(at, "no such %s%s", kind, meant(b.named[ref], names))
			delete(b.untold, ref)
		}
	case errors.Is(err, policies.ErrUnknownPlugin):
		b.wrong(path, "no such %s%s", kind, meant(ref, names))
	case errors.Is(err, policies.ErrWrongKind):
		b.wrong(path, "is no %s; there are: %s", kind, strings.Join(names, ", "))
	default:
		b.wrong(path, "%v", err)
	}
}

// namesOf are the plug-ins of a kind that can be referred to: those declared, and the
// types.
func namesOf[P any](b *builder) []string {
	var names []string
	for _, p := range b.declared {
		if _, ok := p.(P); ok {
			names = append(names, p.TypedName().Name)
		}
	}
	for _, typ := range typesOf[P](b.registry) {
		if !slices.Contains(names, typ) {
			names = append(names, typ)
		}
	}
	return names
}

// typesOf are the types of a kind that need no parameters.
func typesOf[P any](registry *policies.Registry) []string {
	var types []string
	for _, typ := range registry.Types() {
		if p, err := registry.New(typ, "", nil); err == nil {
			if _, ok := p.(P); ok {
				types = append(types, typ)
			}
		}
	}
	return types
}

// unknownTypes reports the plug-ins of unknown types that nothing of a known kind refers to.
func (b *builder) unknownTypes() {
	for i := range b.file.Plugins {
		name := cmp.Or(b.file.Plugins[i].Name, b.file.Plugins[i].Type)
		if at, untold := b.untold[name]; untold && at == indexed("plugins", i)+".type" {
			b.noType(at, b.file.Plugins[i].Type, b.registry.Types())
		}
	}
}

// noType reports a type that nothing is registered for. They are listed once.
func (b *builder) noType(path, typ string, types []string) {
	what := "no such type"
	if typ == "" {
		what = "is missing"
	}
	if slices.Contains(theirs, typ) {
		b.wrong(path, "Weir does not choose endpoints by it; a picker that does can: name yours by %s", b.called("weir.extProc.picker.addresses", path))
		return
	}
	text := didYouMean(typ, types)
	if text == "" && !b.listed {
		text, b.listed = "; there are: "+strings.Join(types, ", "), true
	}
	b.wrong(path, "%s%s", what, text)
}

// parameters reports what a plug-in's factory says of its parameters.
func (b *builder) parameters(path, typ string, parameters *Raw, err error) {
	var unknown *policies.UnknownParameterError
	if errors.As(err, &unknown) {
		at := b.at(path)
		if line := lineOf(parameters.node, unknown.Name); line > 0 {
			at = place{line: line}
		}
		others := "; it has none"
		if len(unknown.Known) > 0 {
			others = meant(unknown.Name, unknown.Known)
		}
		b.failAt(at, join(path, unknown.Name), "%s has no such parameter%s", typ, others)
		return
	}
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // the registry's own words repeat name and type
	}
	text := strings.TrimPrefix(err.Error(), policies.ErrParameters.Error()+": ")
	if b.at(path).flag == "" {
		text = fmt.Sprintf("%s: %s", typ, text)
	}
	b.wrong(path, "%s", text)
}

// lineOf is the line of a field of the name given, or of a field of its fields; 0 if there
// is none.
func lineOf(n *yaml.Node, name string) int {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if child.Value == name {
				return child.Line
			}
			continue
		}
		if line := lineOf(child, name); line > 0 {
			return line
		}
	}
	return 0
}
