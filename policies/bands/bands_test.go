package bands_test

import (
	"testing"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/bands"
	"github.com/weirflow/weir/policies/policytest"
)

func TestConformance(t *testing.T) {
	for _, make := range []func(string) policies.BandPolicy{
		func(name string) policies.BandPolicy { return bands.NewStrict(name) },
		func(name string) policies.BandPolicy { return bands.NewWeighted(name) },
	} {
		t.Run(make("mine").TypedName().Type, func(t *testing.T) {
			policytest.Bands(t, func() policies.BandPolicy { return make("mine") })
		})
	}
}

func TestWeights(t *testing.T) {
	for _, configured := range []float64{0.5, 1, 3} {
		if got := bands.NewStrict("s").BandWeight(-10, configured); got != 0 {
			t.Errorf("strict gives %v for %v, want 0", got, configured)
		}
		if got := bands.NewWeighted("w").BandWeight(-10, configured); got != configured {
			t.Errorf("weighted gives %v for %v", got, configured)
		}
	}
}
