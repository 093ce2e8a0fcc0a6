package fairness

import (
	"context"

	"github.com/weirflow/weir/policies"
)

// named is what the policies of this package have in common: a name, and nothing
// to remember about a band, since the counters are the state.
type named struct{ typed policies.TypedName }

// TypedName implements [policies.Plugin].
func (n named) TypedName() policies.TypedName { return n.typed }

// NewState implements [policies.FairnessPolicy].
func (named) NewState(context.Context) any { return nil }
