// Package policytest is the conformance suite for fairness policies. Run it over
// your own:
//
//	func TestMine(t *testing.T) {
//		policytest.Fairness(t, func() policies.FairnessPolicy { return NewMine("mine") })
//	}
package policytest
