package fairness

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirflow/weir/policies"
)

// LASType is the type name of [LAS].
const LASType = "program-aware-fairness"

// LASParameters are what the type takes.
type LASParameters struct {
	// Strategy is las, the only one.
	Strategy string `json:"strategy"`
	// LASHalfLifeSeconds is the time in which what a program was served comes to
	// count half; 60. Shorter forgets long programs sooner. 0 has it never decay in the
	// policy that this is taken over from; here it is a day, the longest, since nothing else
	// would have the ledger forget a program.
	LASHalfLifeSeconds float64 `json:"lasHalfLifeSeconds"`
	// LASWeightService and LASWeightHeadWait weigh, in the policy that these are
	// taken over from, service against the wait of a program's first request; 0.8
	// and 0.2. Here a program's place follows from its service alone: it decays, so
	// that who waits comes to be the least served. Both have no effect.
	LASWeightService  float64 `json:"lasWeightService"`
	LASWeightHeadWait float64 `json:"lasWeightHeadWait"`
	// EvictionTTLSeconds and EvictionSweepSeconds are when an unused program was
	// forgotten there; 3600 and 300. The ledger forgets counters by itself; both
	// have no effect.
	EvictionTTLSeconds   float64 `json:"evictionTtlSeconds"`
	EvictionSweepSeconds float64 `json:"evictionSweepSeconds"`
}

// LAS serves the flow first that was served least lately: least attained service
// (Nuyens and Wierman, "The foreground-background queue: a survey", 2008), counted
// in weighted tokens, a prompt's 1 and an answer's 2, that decay. A flow is a
// program here, such as an agent that makes many calls: one that has just begun, or
// makes few and short ones, goes before one that has had much. A newcomer is not
// lifted to the others' level, which is what tells it from [VTC].
type LAS struct {
	stateless
	halfLife time.Duration
}

// longestHalfLife is the highest that one may be.
const longestHalfLife = 24 * time.Hour

// LASFactory is the factory of [LASType].
func LASFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	params := LASParameters{
		Strategy: "las", LASHalfLifeSeconds: 60, LASWeightService: 0.8, LASWeightHeadWait: 0.2,
		EvictionTTLSeconds: 3600, EvictionSweepSeconds: 300,
	}
	if err := policies.DecodeParameters(parameters, &params); err != nil {
		return nil, err
	}
	if params.Strategy != "las" {
		return nil, fmt.Errorf("%w: strategy is %q, it must be las", policies.ErrParameters, params.Strategy)
	}
	for _, p := range []struct {
		field string
		value float64
	}{
		{"lasWeightService", params.LASWeightService},
		{"lasWeightHeadWait", params.LASWeightHeadWait},
		{"evictionTtlSeconds", params.EvictionTTLSeconds},
		{"evictionSweepSeconds", params.EvictionSweepSeconds},
	} {
		if !(p.value >= 0) {
			return nil, fmt.Errorf("%w: %s is %v, it must not be negative", policies.ErrParameters, p.field, p.value)
		}
	}
	halfLife := time.Duration(params.LASHalfLifeSeconds * float64(time.Second))
	if params.LASHalfLifeSeconds == 0 {
		halfLife = longestHalfLife
	}
	p, err := NewLAS(name, halfLife)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// NewLAS returns the policy under the name, or ErrParameters for a half-life that is
// not from a second to a day.
func NewLAS(name string, halfLife time.Duration) (*LAS, error) {
	if halfLife < time.Second || halfLife > longestHalfLife {
		return nil, fmt.Errorf("%w: lasHalfLifeSeconds is %v, it must be from 1 to 86400, or 0 for the longest", policies.ErrParameters, halfLife.Seconds())
	}
	return &LAS{named(LASType, name), halfLife}, nil
}

// Pick implements [policies.FairnessPolicy].
func (p *LAS) Pick(_ context.Context, band policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	return policies.PickLeastServed(band), nil
}

// Charge implements [policies.CountingPolicy]: weighted tokens.
func (p *LAS) Charge(item policies.QueueItemAccessor) float64 {
	return float64(item.InputTokens()) + 2*float64(item.OutputTokens())
}

// Account implements [policies.Accountant]. The ledger decays the counters.
func (p *LAS) Account() policies.Account {
	return policies.Account{HalfLife: p.halfLife, Unit: fmt.Sprintf("1/2 tokens, half-life %v", p.halfLife)}
}
