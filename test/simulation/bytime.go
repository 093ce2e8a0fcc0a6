package simulation

import (
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
)

// fairness is the policy by which flows are compared.
func (c *Config) fairness() policies.FairnessPolicy {
	if !c.ByTime {
		return fairness.NewRoundRobin(fairness.RoundRobinType)
	}
	slots, err := fairness.NewSlots(fairness.SlotsType, c.Service.Seconds())
	if err != nil {
		panic(err)
	}
	return slots
}

// accountTime adds up for how long flows and groups have had slots, for their weights: the unit is
// a request of the usual length.
func (k *counts) accountTime(passed time.Duration) {
	if !k.cfg.ByTime || passed == 0 {
		return
	}
	requests := passed.Seconds() / k.cfg.Service.Seconds()
	for _, a := range k.accounts {
		a.got += float64(a.has) * requests / a.weight
	}
}

// longestService is how long a request takes at most, in those of the usual length.
func (c *Config) longestService() float64 {
	longest := 1.0
	for i := range c.Flows {
		longest = max(longest, c.Flows[i].Longer)
	}
	return 8.0 / 5 * longest
}

// timeBound is the bound on how far flows get apart where they are compared by time, given that by
// requests: each may be as long as the longest, and what all slots hold was charged ahead, for the usual
// length, and is settled when it ends, at both ends of the measured time.
func (c *Config) timeBound(requests float64) float64 {
	return (requests + 2*float64(c.Limit)) * c.longestService()
}
