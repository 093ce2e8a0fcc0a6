// Package flows knows the flows of a pool: whose a request is, by which rules it goes, and
// what the requests of each flow came to here.
package flows

import (
	"time"
)

// Rules say at which priority a flow's requests go to a pool, and how long they may take.
// They must not be changed while they are used.
type Rules struct {
	// Priority returns the priority of a flow's request that names the objective,
	// which may be empty, and whether anybody declared that one; nil gives all 0.
	Priority func(flow, objective string) (priority int, declared bool)
	// Timeouts returns how long a flow's request that names the objective, which may be
	// empty, may hold its slots; nil gives all the defaults.
	Timeouts func(flow, objective string) Timeouts
	// Rule returns which setting holds for a flow: its own id, or a name that many flows
	// share, such as a pattern; empty, as for nil, if there is none. Flows with a setting
	// are told apart however many others there are.
	Rule func(flow string) string
	// CachedTokenWeight is the part of a prompt's token that one is charged which the server
	// had in a cache; 0.1 by default.
	CachedTokenWeight *float64
	// Newcomers has flows that are not known yet share one; off by default.
	Newcomers Newcomers
	// MaxFlows is how many flows of a priority are told apart; what comes beyond
	// shares the flow Overflow. 10,000 by default.
	MaxFlows int
}

// Newcomers are flows without a setting and without an API key in the time after their
// first request. To the others they are together one flow, Newcomer, and take turns
// within it.
type Newcomers struct {
	// For is how long a flow is a newcomer; 0 for never.
	For time.Duration
}

// Flows that stand for others.
const (
	// Default is the flow of requests that name none.
	Default = "default-flow"
	// Newcomer is the flow that newcomers share.
	Newcomer = "newcomers-flow"
	// Overflow is the flow of requests beyond Rules.MaxFlows.
	Overflow = "overflow-flow"
)

// DefaultMax is how many flows of a priority are told apart where nothing else is said.
const DefaultMax = 10_000

// WithDefaults fills in what is not set.
func (r Rules) WithDefaults() Rules {
	if r.MaxFlows <= 0 {
		r.MaxFlows = DefaultMax
	}
	if r.CachedTokenWeight == nil {
		weight := 0.1
		r.CachedTokenWeight = &weight
	}
	return r
}

// PriorityOf is that of a flow's request that names the objective, which may be empty, and
// whether nobody declared one that it names.
func (r *Rules) PriorityOf(flow, objective string) (priority int, undeclared bool) {
	if r.Priority == nil {
		return 0, false
	}
	priority, declared := r.Priority(flow, objective)
	return priority, !declared && objective != ""
}

// RuleOf is which setting holds for a flow. One that a key stands for has its own.
func (r *Rules) RuleOf(flow string, keyed bool) string {
	switch {
	case keyed:
		return flow
	case r.Rule != nil:
		return r.Rule(flow)
	}
	return ""
}
