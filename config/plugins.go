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
func refer[P any](b *assembly, path, ref, kind string, lookup func(string) (P, error)) P {
	p, err := lookup(ref)
	if err != nil {
		b.unresolved(path, ref, kind, namesOf[P](b), err)
	}
	return p
}

// unresolved reports a reference that leads to nothing of its kind; names are what
// there is of it.
func (a *assembly) unresolved(path, ref, kind string, names []string, err error) {
	switch {
	case ref == "":
		a.wrong(path, "is missing; name a %s", kind)
	case a.left[ref]:
		a.wrong(path, "is of type %s, which is no %s that Weir has; there are: %s", a.named[ref], kind, strings.Join(names, ", "))
	case a.unknown[ref] && errors.Is(err, policies.ErrUnknownPlugin): // it was declared, and is wrong there
		if at, untold := a.untold[ref]; untold && a.named[ref] != "" && !slices.Contains(theirs, a.named[ref]) {
			a.wrong(at, "no such %s%s", kind, meant(a.named[ref], names))
			delete(a.untold, ref)
		}
	case errors.Is(err, policies.ErrUnknownPlugin):
		a.wrong(path, "no such %s%s", kind, meant(ref, names))
	case errors.Is(err, policies.ErrWrongKind):
		a.wrong(path, "is no %s; there are: %s", kind, strings.Join(names, ", "))
	default:
		a.wrong(path, "%v", err)
	}
}

// namesOf are the plug-ins of a kind that can be referred to: those declared, and the
// types.
func namesOf[P any](b *assembly) []string {
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
func (a *assembly) unknownTypes() {
	for i := range a.file.Plugins {
		name := cmp.Or(a.file.Plugins[i].Name, a.file.Plugins[i].Type)
		if at, untold := a.untold[name]; untold && at == indexed("plugins", i)+".type" {
			a.noType(at, a.file.Plugins[i].Type, a.registry.Types())
		}
	}
}

// noType reports a type that nothing is registered for. They are listed once.
func (a *assembly) noType(path, typ string, types []string) {
	what := "no such type"
	if typ == "" {
		what = "is missing"
	}
	if slices.Contains(theirs, typ) {
		a.wrong(path, "Weir does not choose endpoints by it; a picker that does can: name yours by %s", a.called("weir.extProc.picker.addresses", path))
		return
	}
	text := didYouMean(typ, types)
	if text == "" && !a.listed {
		text, a.listed = "; there are: "+strings.Join(types, ", "), true
	}
	a.wrong(path, "%s%s", what, text)
}

// parameters reports what a plug-in's factory says of its parameters.
func (a *assembly) parameters(path, typ string, parameters *Raw, err error) {
	var unknown *policies.UnknownParameterError
	if errors.As(err, &unknown) {
		at := a.at(path)
		if line := parameters.lineOf(unknown.Name); line > 0 {
			at = place{line: line}
		}
		others := "; it has none"
		if len(unknown.Known) > 0 {
			others = meant(unknown.Name, unknown.Known)
		}
		a.failAt(at, join(path, unknown.Name), "%s has no such parameter%s", typ, others)
		return
	}
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // the registry's own words repeat name and type
	}
	text := strings.TrimPrefix(err.Error(), policies.ErrParameters.Error()+": ")
	at := a.at(path)
	switch {
	case a.older != "" && path == a.older+".parameters":
		a.olderParameters(text)
		return
	case at.flag == "":
		name, _, _ := strings.Cut(text, " ")
		if line := parameters.lineOf(strings.TrimSuffix(name, ":")); line > 0 {
			at.line = line
		}
		text = fmt.Sprintf("%s: %s", typ, text)
	}
	if !at.unread {
		a.failAt(at, path, "%s", text)
	}
}

// lineOf is the line of a field of the name given, or of a field of its fields; 0 if there
// is none.
func (r *Raw) lineOf(name string) int {
	if r == nil {
		return 0
	}
	return lineOf(r.node, name)
}

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
