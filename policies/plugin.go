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
