package usagelimit

import (
	"context"
	"math"
	"time"

	"github.com/weirflow/weir/policies"
)

// SoftReflectiveType is the type name of [SoftReflective].
const SoftReflectiveType = "soft-reflective-ceiling-policy"

// SoftReflective lowers the lower bands' ceilings as the pool fills: with N bands
// and saturation s, band i from the top may use 1 − i·s/(N−1) of the pool. A band
// past its ceiling is not shut: it opens for one in round(s/(1−s)) periods of 100 ms
// of the ledger's clock, the more rarely the fuller the pool is, and at all replicas
// at once.
type SoftReflective struct{ policies.Named }

// period is how long a band stays open past its ceiling.
const period = 100 * time.Millisecond

// NewSoftReflective returns the policy under the name.
func NewSoftReflective(name string) *SoftReflective {
	return &SoftReflective{policies.NewNamed(SoftReflectiveType, name)}
}

// FollowsSaturation implements [policies.Follower].
func (p *SoftReflective) FollowsSaturation() bool { return true }

// Ceilings implements [policies.UsageLimitPolicy].
func (p *SoftReflective) Ceilings(_ context.Context, now time.Time, saturation float64, priorities []int) []float64 {
	s := min(max(saturation, 0), 1)
	ceilings := make([]float64, len(priorities))
	for i := range ceilings {
		ceilings[i] = 1
		if len(priorities) > 1 {
			ceilings[i] = 1 - float64(i)*s/float64(len(priorities)-1)
		}
	}
	if s < 1 {
		if every := int64(max(1, min(math.Round(s/(1-s)), 1e6))); now.UnixNano()/int64(period)%every == 0 {
			for i := range ceilings {
				ceilings[i] = 1
			}
		}
	}
	return ceilings
}
