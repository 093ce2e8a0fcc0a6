// Package builtin lists the plug-in types that come with Weir.
package builtin

import (
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/policies/usagelimit"
)

// Registry returns a new registry with every built-in type. Register more on it
// to add your own.
func Registry() *policies.Registry {
	r := &policies.Registry{}
	for typ, factory := range map[string]policies.Factory{
		fairness.RoundRobinType:    fairness.RoundRobinFactory,
		fairness.GlobalStrictType:  fairness.GlobalStrictFactory,
		ordering.FCFSType:          ordering.FCFSFactory,
		saturation.ConcurrencyType: saturation.ConcurrencyFactory,
		usagelimit.StaticType:      usagelimit.StaticFactory,
	} {
		if err := r.Register(typ, factory); err != nil {
			panic(err) // the same type twice in the list above
		}
	}
	return r
}
