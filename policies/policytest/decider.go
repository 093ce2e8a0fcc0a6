package policytest

import (
	"math/rand/v2"
	"testing"

	"github.com/weirflow/weir/policies"
)

// Decider checks that the deciders which make returns keep the contract of
// [policies.StageDecider].
func Decider(t *testing.T, make func() policies.StageDecider) {
	t.Helper()
	run(t, DeciderChecks(), make)
}

// DeciderChecks returns the suite's checks.
func DeciderChecks() []Check[policies.StageDecider] {
	return []Check[policies.StageDecider]{
		named[policies.StageDecider](),
		{"SameForTheSame", decidesSteadily},
	}
}

// decidesSteadily wants two deciders that were made alike to say the same, however often they
// are asked.
func decidesSteadily(t T, made func() policies.StageDecider) {
	t.Helper()
	p, q := made(), made()
	draw := rand.New(rand.NewPCG(15, 16))
	for range 200 {
		for _, e := range draws(draw) {
			if first := p.Needs(asked{}, e); first != q.Needs(asked{}, e) || first != p.Needs(asked{}, e) {
				t.Errorf("of the same request and endpoint two answers")
				return
			}
		}
	}
}
