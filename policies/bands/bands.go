// Package bands has the built-in band policies: how priorities share the pool beyond what they
// are guaranteed.
//
//	policy      goes next
//	strict      the highest priority in which something waits
//	weighted    the priority that had least of the pool for its weight
package bands

import "github.com/weirflow/weir/policies"

// The type names.
const (
	StrictType   = "strict-band-selection-policy"
	WeightedType = "weighted-band-selection-policy"
)

// Strict has a higher priority always go before a lower one.
type Strict struct{ policies.Named }

// NewStrict returns the policy under the name.
func NewStrict(name string) *Strict { return &Strict{policies.NewNamed(StrictType, name)} }

// BandWeight implements [policies.BandPolicy].
func (*Strict) BandWeight(int, float64) float64 { return 0 }

// Weighted has priorities that wait share the pool by their weights, in slots times time.
type Weighted struct{ policies.Named }

// NewWeighted returns the policy under the name.
func NewWeighted(name string) *Weighted { return &Weighted{policies.NewNamed(WeightedType, name)} }

// BandWeight implements [policies.BandPolicy].
func (*Weighted) BandWeight(_ int, configured float64) float64 { return configured }

var (
	_ policies.BandPolicy = (*Strict)(nil)
	_ policies.BandPolicy = (*Weighted)(nil)
)
