// Package builtin lists the plug-in types that come with Weir.
package builtin

import (
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/eviction"
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
		fairness.RoundRobinType: fairness.RoundRobinFactory, fairness.WeightedRoundRobinType: fairness.WeightedRoundRobinFactory,
		fairness.GlobalStrictType: fairness.GlobalStrictFactory, fairness.VTCType: fairness.VTCFactory,
		fairness.LASType: fairness.LASFactory,

		ordering.FCFSType: ordering.FCFSFactory, ordering.EDFType: ordering.EDFFactory,
		ordering.SLODeadlineType: ordering.SLODeadlineFactory, ordering.ShortestJobFirstType: ordering.ShortestJobFirstFactory,

		saturation.ConcurrencyType: saturation.ConcurrencyFactory, saturation.UtilizationType: saturation.UtilizationFactory,

		eviction.SheddableType: eviction.SheddableFactory, eviction.SheddableOtherType: eviction.SheddableFactory,
		eviction.PriorityThenTimeType: eviction.PriorityThenTimeFactory, eviction.PriorityThenTimeOtherType: eviction.PriorityThenTimeFactory,

		usagelimit.StaticType: usagelimit.StaticFactory, usagelimit.HoldbackType: usagelimit.HoldbackFactory,
		usagelimit.SoftReflectiveType: usagelimit.SoftReflectiveFactory,
	} {
		if err := r.Register(typ, factory); err != nil {
			panic(err) // the same type twice in the list above
		}
	}
	return r
}
