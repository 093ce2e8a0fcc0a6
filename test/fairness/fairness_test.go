package fairness

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// fairPolicies returns every built-in fairness policy.
func fairPolicies(t *testing.T) map[string]policies.FairnessPolicy {
	t.Helper()
	found := make(map[string]policies.FairnessPolicy)
	registry := builtin.Registry()
	for _, typ := range registry.Types() {
		p, err := registry.New(typ, "", nil)
		if err != nil {
			continue // it needs parameters, so it is none
		}
		if fair, ok := p.(policies.FairnessPolicy); ok {
			found[typ] = fair
		}
	}
	if len(found) < 4 {
		t.Fatalf("%d fairness policies", len(found))
	}
	return found
}

// TestScenarios plays every scenario in simulated time.
func TestScenarios(t *testing.T) {
	length := 6 * time.Second
	if testing.Short() {
		length = 2 * time.Second
	}
	all := fairPolicies(t)
	for _, s := range Scenarios() {
		for typ, policy := range all {
			var single *Result
			for _, replicas := range []int{1, 4} {
				synctest.Test(t, func(t *testing.T) {
					ledger := memory.New(memory.Config{})
					ledgers := make([]store.Ledger, replicas)
					for i := range ledgers {
						ledgers[i] = ledger
					}
					res, err := Play(t.Context(), s, policy, ledgers, length)
					if err != nil {
						t.Fatal(err)
					}
					t.Logf("%s, %s, %d replicas: gap %.0f tokens (bound %.0f), %.1f requests; Jain index %.3f; light p99 %v; %d requests",
						s.Name, typ, replicas, res.Gap, res.Bound, res.RequestGap, res.Index, res.LightP99, res.Requests)
					judge(t, s, typ, res, single)
					if replicas == 1 {
						single = res
					}
				})
			}
		}
	}
}

// judge checks what a policy promises. On one replica a gap is often a request or two, so
// the gap of four is compared with half the bound as well.
func judge(t *testing.T, s Scenario, typ string, res, single *Result) {
	t.Helper()
	switch typ {
	case "vtc-fairness-policy":
		if res.Gap > res.Bound {
			t.Errorf("%s, %s: gap %.0f above VTC's bound %.0f", s.Name, typ, res.Gap, res.Bound)
		}
		if single != nil && res.Gap > max(1.5*single.Gap, res.Bound/2) {
			t.Errorf("%s, %s: gap %.0f on four replicas, %.0f on one", s.Name, typ, res.Gap, single.Gap)
		}
	case "round-robin-fairness-policy", "weighted-round-robin-fairness-policy":
		if res.RequestGap > 2*slots {
			t.Errorf("%s, %s: gap %.1f requests, the pool takes %d", s.Name, typ, res.RequestGap, slots)
		}
	default:
		return
	}
	if s.Name == "flood" && res.LightP99 > 500*time.Millisecond {
		t.Errorf("%s, %s: the light tenant waits %v beside the flood", s.Name, typ, res.LightP99)
	}
}
