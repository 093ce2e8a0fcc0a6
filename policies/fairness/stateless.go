package fairness

import (
	"context"

	"github.com/weirflow/weir/policies"
)

// stateless is what the policies of this package have in common: a name, and nothing
// to remember about a band, since the counters are the state.
type stateless struct{ policies.Named }

// NewState implements [policies.FairnessPolicy].
func (stateless) NewState(context.Context) any { return nil }

func named(typ, name string) stateless { return stateless{policies.NewNamed(typ, name)} }
