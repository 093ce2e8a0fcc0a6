package policytest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirflow/weir/policies"
)

// Filter checks that the filters which make returns keep the contract of
// [policies.EndpointFilter].
func Filter(t *testing.T, make func() policies.EndpointFilter) {
	t.Helper()
	run(t, FilterChecks(), make)
}

// FilterChecks returns the suite's checks.
func FilterChecks() []Check[policies.EndpointFilter] {
	return []Check[policies.EndpointFilter]{
		named[policies.EndpointFilter](),
		{"SaysOfEachEndpoint", filtersAll},
	}
}

// filtersAll wants two filters that were made alike to say the same of every endpoint,
// whatever stood there before.
func filtersAll(t T, made func() policies.EndpointFilter) {
	t.Helper()
	p, q := made(), made()
	draw := rand.New(rand.NewPCG(13, 14))
	for range 200 {
		es := draws(draw)
		kept, left := slices.Repeat([]bool{true}, len(es)), make([]bool, len(es))
		p.Keep(asked{}, es, kept)
		q.Keep(asked{}, es, left)
		if !slices.Equal(kept, left) {
			t.Errorf("of the same endpoints %v and %v are kept: each must be set, and to the same", kept, left)
			return
		}
	}
}
