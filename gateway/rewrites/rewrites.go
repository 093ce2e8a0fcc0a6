// Package rewrites says which model a request asks for in place of the one that it names, as
// Kubernetes' InferenceModelRewrites do.
package rewrites

import (
	"math/rand/v2"
	"sync/atomic"
)

// Rule is which models stand for which others.
type Rule struct {
	// Models are the names that it is for; none for all that no other rule names.
	Models []string
	// Targets are what may be asked for instead, each as often as its weight is of their sum.
	Targets []Target
}

// Target is a model that is asked for in place of another.
type Target struct {
	Model  string
	Weight int64
}

// rules are the targets by the model that is named, and of all others.
type rules struct {
	exact  map[string][]Target
	others []Target
}

// Table has the rules of a pool. The zero value is empty. It is safe for concurrent use.
type Table struct{ rules atomic.Pointer[rules] }

// Set replaces the rules. Of several for a model the first holds.
func (t *Table) Set(all []Rule) {
	r := &rules{exact: make(map[string][]Target)}
	for _, rule := range all {
		if len(rule.Models) == 0 && r.others == nil {
			r.others = rule.Targets
		}
		for _, model := range rule.Models {
			if _, given := r.exact[model]; !given {
				r.exact[model] = rule.Targets
			}
		}
	}
	t.rules.Store(r)
}

// Of returns the model to ask for in place of one; that itself where no rule is for it.
func (t *Table) Of(model string) string {
	r := t.rules.Load()
	if r == nil {
		return model
	}
	targets, given := r.exact[model]
	if !given {
		targets = r.others
	}
	sum := int64(0)
	for _, target := range targets {
		sum += target.Weight
	}
	if sum <= 0 {
		return model
	}
	at := rand.Int64N(sum)
	for _, target := range targets {
		if at -= target.Weight; at < 0 {
			return target.Model
		}
	}
	return model
}
