package usagelimit

import "github.com/weirflow/weir/policies"

type named struct{ typed policies.TypedName }

// TypedName implements [policies.Plugin].
func (n named) TypedName() policies.TypedName { return n.typed }
