package kubernetes

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/weirflow/weir/gateway/rewrites"
)

// The kinds of InferenceModelRewrites, the newer first.
var (
	llmdRewriteKind = schema.GroupVersionResource{Group: "llm-d.ai", Version: "v1alpha2", Resource: "inferencemodelrewrites"}
	rewriteKind     = schema.GroupVersionResource{Group: "inference.networking.x-k8s.io", Version: "v1alpha2", Resource: "inferencemodelrewrites"}
)

// rewrite is what matters of an InferenceModelRewrite.
type rewrite struct {
	pool  string // the pool that it is for; empty if it does not say
	made  time.Time
	rules []rewrites.Rule
}

func readRewrite(u *unstructured.Unstructured) (rewrite, error) {
	var o struct {
		Spec struct {
			PoolRef struct {
				Name string `json:"name"`
			} `json:"poolRef"`
			Rules []struct {
				Matches []struct {
					Model struct {
						Type  string `json:"type"`
						Value string `json:"value"`
					} `json:"model"`
				} `json:"matches"`
				Targets []struct {
					ModelRewrite string `json:"modelRewrite"`
					Weight       *int64 `json:"weight"`
				} `json:"targets"`
			} `json:"rules"`
		} `json:"spec"`
	}
	if err := readFields(u, &o); err != nil {
		return rewrite{}, err
	}
	r := rewrite{pool: o.Spec.PoolRef.Name, made: u.GetCreationTimestamp().Time}
	for _, rule := range o.Spec.Rules {
		var read rewrites.Rule
		for _, m := range rule.Matches {
			if m.Model.Type != "" && m.Model.Type != "Exact" {
				return rewrite{}, fmt.Errorf("a match of type %q: models are matched by type Exact only", m.Model.Type)
			}
			if m.Model.Value == "" {
				return rewrite{}, errors.New("a match names no model")
			}
			read.Models = append(read.Models, m.Model.Value)
		}
		for _, t := range rule.Targets {
			weight := int64(1)
			if t.Weight != nil {
				weight = *t.Weight
			}
			if t.ModelRewrite == "" || weight < 0 || weight > maxWeight {
				return rewrite{}, fmt.Errorf("a target %q of weight %d: it must name a model, and weigh from 0 to %d", t.ModelRewrite, weight, maxWeight)
			}
			read.Targets = append(read.Targets, rewrites.Target{Model: t.ModelRewrite, Weight: weight})
		}
		r.rules = append(r.rules, read)
	}
	return r, nil
}

// maxWeight is as the kind's schema has it.
const maxWeight = 1_000_000

// rules are those of the pool's InferenceModelRewrites: the oldest object's first.
func (s *Source) rules() (all []rewrites.Rule) {
	named := make(map[string]rewrite)
	for _, t := range s.view.rewrites {
		for name, r := range t.in(s.cfg.Namespace, nil) {
			if r.err != nil {
				s.view.say("an InferenceModelRewrite is left out", fmt.Errorf("%s/%s: %w", s.cfg.Namespace, name, r.err))
				continue
			}
			if _, known := named[name]; !known && (r.value.pool == "" || r.value.pool == s.cfg.Name) {
				named[name] = r.value
			}
		}
	}
	names := slices.SortedFunc(maps.Keys(named), func(a, b string) int {
		return cmp.Or(named[a].made.Compare(named[b].made), cmp.Compare(a, b))
	})
	for _, name := range names {
		all = append(all, named[name].rules...)
	}
	return all
}
