// Package builtin lists the plug-in types that come with Weir.
package builtin

import (
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/bands"
	"github.com/weirflow/weir/policies/eviction"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/policies/scheduling"
	"github.com/weirflow/weir/policies/usagelimit"
)

// Registry returns a new registry with every built-in type. Register more on it
// to add your own.
func Registry() *policies.Registry {
	r := &policies.Registry{}
	for typ, factory := range map[string]policies.Factory{
		fairness.RoundRobinType:         policies.WithoutParameters(fairness.NewRoundRobin),
		fairness.WeightedRoundRobinType: policies.WithoutParameters(fairness.NewWeightedRoundRobin),
		fairness.GlobalStrictType:       policies.WithoutParameters(fairness.NewGlobalStrict),
		fairness.VTCType:                fairness.VTCFactory,
		fairness.LASType:                fairness.LASFactory,
		fairness.SlotsType:              fairness.SlotsFactory,

		ordering.FCFSType:             policies.WithoutParameters(ordering.NewFCFS),
		ordering.EDFType:              policies.WithoutParameters(ordering.NewEDF),
		ordering.SLODeadlineType:      policies.WithoutParameters(ordering.NewSLODeadline),
		ordering.ShortestJobFirstType: ordering.ShortestJobFirstFactory,

		bands.StrictType:   policies.WithoutParameters(bands.NewStrict),
		bands.WeightedType: policies.WithoutParameters(bands.NewWeighted),

		saturation.ConcurrencyType:   saturation.ConcurrencyFactory,
		saturation.UtilizationType:   saturation.UtilizationFactory,
		saturation.MaxType:           saturation.MaxFactory,
		saturation.WhereReadableType: policies.WithoutParameters(saturation.NewWhereReadable),

		eviction.SheddableType:             policies.WithoutParameters(eviction.NewSheddable),
		eviction.SheddableOtherType:        policies.WithoutParameters(eviction.NewSheddable),
		eviction.PriorityThenTimeType:      policies.WithoutParameters(eviction.NewPriorityThenTime),
		eviction.PriorityThenTimeOtherType: policies.WithoutParameters(eviction.NewPriorityThenTime),

		scheduling.QueueType:                policies.WithoutParameters(scheduling.NewQueue),
		scheduling.KVCacheType:              policies.WithoutParameters(scheduling.NewKVCache),
		scheduling.KVCacheOlderType:         policies.WithoutParameters(scheduling.NewKVCache),
		scheduling.RunningRequestsType:      policies.WithoutParameters(scheduling.NewRunningRequests),
		scheduling.LoadAwareType:            scheduling.LoadAwareFactory,
		scheduling.PrefixCacheType:          scheduling.PrefixCacheFactory,
		scheduling.ApproxPrefixType:         scheduling.ApproxPrefixFactory,
		scheduling.PrecisePrefixType:        scheduling.PrecisePrefixFactory,
		scheduling.PrecisePrefixCacheType:   scheduling.PrecisePrefixCacheFactory,
		scheduling.ActiveRequestType:        scheduling.ActiveRequestFactory,
		scheduling.TokenLoadType:            scheduling.TokenLoadFactory,
		scheduling.NoHitLRUType:             scheduling.NoHitLRUFactory,
		scheduling.SessionAffinityType:      policies.WithoutParameters(scheduling.NewSessionAffinity),
		scheduling.DecodeFilterType:         policies.WithoutParameters(scheduling.NewDecodeFilter),
		scheduling.PrefillFilterType:        policies.WithoutParameters(scheduling.NewPrefillFilter),
		scheduling.EncodeFilterType:         policies.WithoutParameters(scheduling.NewEncodeFilter),
		scheduling.LabelSelectorFilterType:  scheduling.LabelSelectorFilterFactory,
		scheduling.BySelectorFilterType:     scheduling.LabelSelectorFilterFactory,
		scheduling.ByLabelFilterType:        scheduling.ByLabelFilterFactory,
		scheduling.PrefixAffinityFilterType: scheduling.PrefixAffinityFactory,
		scheduling.LoRAAffinityType:         policies.WithoutParameters(scheduling.NewLoRAAffinity),
		scheduling.MaxScoreType:             scheduling.MaxScoreFactory,
		scheduling.WeightedRandomType:       scheduling.WeightedRandomFactory,
		scheduling.RandomType:               scheduling.RandomFactory,
		scheduling.SingleProfileType:        policies.WithoutParameters(scheduling.NewSingleProfile),
		scheduling.HeaderProfileType:        scheduling.HeaderProfileFactory,
		scheduling.DisaggType:               scheduling.DisaggFactory,
		scheduling.PDProfileType:            scheduling.PDProfileFactory,
		scheduling.DataParallelType:         scheduling.DataParallelFactory,
		scheduling.PrefixDeciderType:        scheduling.PrefixDeciderFactory,
		scheduling.AlwaysPrefillType:        policies.WithoutParameters(scheduling.NewAlwaysPrefill),
		scheduling.MediaDeciderType:         policies.WithoutParameters(scheduling.NewMediaDecider),

		usagelimit.StaticType:         usagelimit.StaticFactory,
		usagelimit.HoldbackType:       usagelimit.HoldbackFactory,
		usagelimit.SoftReflectiveType: policies.WithoutParameters(usagelimit.NewSoftReflective),
	} {
		if err := r.Register(typ, factory); err != nil {
			panic(err) // the same type twice in the list above
		}
	}
	return r
}
