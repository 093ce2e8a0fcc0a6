// Package policytest has conformance suites for every kind of plug-in. Run the one of
// your kind over your own:
//
//	func TestMine(t *testing.T) {
//		policytest.Fairness(t, func() policies.FairnessPolicy { return NewMine("mine") })
//	}
//
// What it is called with must return a new instance each time, made with the same
// parameters. The suites of fairness and ordering policies also run the plug-in in the
// dispatch itself, with two replicas over one ledger. Each suite's checks can be had one
// by one, for a plug-in that means to break one of them.
package policytest
