package policies

// TypedName identifies a plug-in instance: its type, and the name it was
// declared under.
type TypedName struct {
	Type string
	Name string
}

// String returns "name (type)", or the type alone where both are the same.
func (t TypedName) String() string {
	if t.Name == "" || t.Name == t.Type {
		return t.Type
	}
	return t.Name + " (" + t.Type + ")"
}

// Plugin is what every plug-in is, whatever it decides.
type Plugin interface {
	// TypedName returns the plug-in's type and instance name. It is constant
	// over the plug-in's life and safe for concurrent use.
	TypedName() TypedName
}

// Named is embedded in a plug-in and gives it its name.
type Named struct{ typed TypedName }

// NewNamed returns the name of an instance of a type.
func NewNamed(typ, name string) Named { return Named{TypedName{Type: typ, Name: name}} }

// TypedName implements [Plugin].
func (n Named) TypedName() TypedName { return n.typed }
