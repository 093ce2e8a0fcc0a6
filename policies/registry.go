package policies

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Errors of loading plug-ins, to be tested with errors.Is.
var (
	// ErrUnknownType: no factory is registered under the type.
	ErrUnknownType = errors.New("unknown plug-in type")
	// ErrUnknownPlugin: no plug-in was declared under the name.
	ErrUnknownPlugin = errors.New("plug-in not declared")
	// ErrWrongKind: the plug-in exists and cannot do what it is referred to for.
	ErrWrongKind = errors.New("wrong kind of plug-in")
	// ErrDuplicate: the name or type is taken.
	ErrDuplicate = errors.New("declared twice")
	// ErrParameters: the plug-in's parameters are not what its type takes.
	ErrParameters = errors.New("bad parameters")
)

// Factory builds a plug-in instance of one type. The parameters are a JSON
// object, or empty when none were given. An error must name the parameter.
type Factory func(name string, parameters json.RawMessage) (Plugin, error)

// Registry knows how to build plug-ins, by type. The zero value is empty and
// ready; fill it before use: reading is safe for concurrent use, registering is
// not.
type Registry struct {
	factories map[string]Factory
}

// Register adds a type, or returns ErrDuplicate.
func (r *Registry) Register(typ string, f Factory) error {
	if typ == "" || f == nil {
		return fmt.Errorf("register plug-in type %q: a type and a factory are needed", typ)
	}
	if _, taken := r.factories[typ]; taken {
		return fmt.Errorf("register plug-in type %q: %w", typ, ErrDuplicate)
	}
	if r.factories == nil {
		r.factories = make(map[string]Factory)
	}
	r.factories[typ] = f
	return nil
}

// Clone returns a registry of the same types, to which more can be added.
func (r *Registry) Clone() *Registry { return &Registry{factories: maps.Clone(r.factories)} }

// Types returns the registered types, sorted.
func (r *Registry) Types() []string {
	types := make([]string, 0, len(r.factories))
	for t := range r.factories {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// New builds one instance. An empty name stands for the type. A fairness policy of
// no proper kind is ErrAmbiguous; see [KindOf].
func (r *Registry) New(typ, name string, parameters json.RawMessage) (Plugin, error) {
	if name == "" {
		name = typ
	}
	f, ok := r.factories[typ]
	if !ok {
		return nil, fmt.Errorf("plug-in %q: %w %q; known types: %s",
			name, ErrUnknownType, typ, strings.Join(r.Types(), ", "))
	}
	p, err := f(name, parameters)
	if fair, ok := p.(FairnessPolicy); ok && err == nil {
		_, err = KindOf(fair)
	}
	if err != nil {
		return nil, fmt.Errorf("plug-in %q of type %q: %w", name, typ, err)
	}
	return p, nil
}

// DecodeParameters reads a factory's parameters into the struct that into
// points to, which holds the defaults. Empty parameters leave it as it is; a
// field it does not have, a value of another type or anything after the object
// is ErrParameters, and the first of these an UnknownParameterError.
func DecodeParameters(parameters json.RawMessage, into any) error {
	if len(bytes.TrimSpace(parameters)) == 0 || string(bytes.TrimSpace(parameters)) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(parameters))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrParameters, inPlainWords(err, parameters, into))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one value", ErrParameters)
	}
	return nil
}

// WithoutParameters makes the factory of a type that takes none.
func WithoutParameters[P Plugin](build func(name string) P) Factory {
	return func(name string, parameters json.RawMessage) (Plugin, error) {
		if err := DecodeParameters(parameters, &struct{}{}); err != nil {
			return nil, err
		}
		return build(name), nil
	}
}
