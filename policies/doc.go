// Package policies is the contract between Weir and its plug-ins: which flow
// goes next, which request of a flow, how full the pool is, and how full it may
// get.
//
//	Priority   a higher number goes first, always
//	  └─ Fairness   FairnessPolicy chooses the flow within a band
//	       └─ Ordering   OrderingPolicy chooses the request within a flow
//
//	SaturationDetector   how full the pool is (1.0 = full)
//	UsageLimitPolicy     how full it may get for a band
//
// A policy is a stateless singleton: it is built once from configuration and
// shared by every priority band. What a fairness policy must remember about a
// band it makes in NewState and reads back through the band it is handed (a
// flyweight). Two bands under one policy therefore never touch each other.
//
// What more a plug-in can do, it says by an optional interface with a method that
// answers a question, such as [MetricsReader].
//
// Plug-ins are made by a [Registry] of factories, so that a mistake in a
// parameter is an error when the configuration is loaded and never when a
// request is dispatched. Outsiders test theirs with package policytest.
package policies
