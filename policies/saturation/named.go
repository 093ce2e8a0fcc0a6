package saturation

import "github.com/weirflow/weir/policies"

type named struct{ name policies.TypedName }

// TypedName implements [policies.Plugin].
func (n named) TypedName() policies.TypedName { return n.name }

func typed(typ, name string) named { return named{policies.TypedName{Type: typ, Name: name}} }
