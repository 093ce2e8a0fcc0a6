package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// FoundPool is a pool that is not the file's: an InferencePool of Kubernetes.
type FoundPool struct {
	Name string
	// InferencePool is its namespace and name, with a slash between.
	InferencePool string
	Models        []string
}

// LeftOut says why something that was found cannot be a pool.
type LeftOut struct {
	Pool FoundPool
	Err  error
}

// PoolSelector reads weir.inferencePools. The namespace is empty for all of them.
func PoolSelector(text string) (namespace, selector string, err error) {
	namespace, selector, ok := strings.Cut(text, "/")
	if !ok || namespace != "*" && len(validation.IsDNS1123Label(namespace)) > 0 {
		return "", "", errors.New("must be NAMESPACE/SELECTOR, such as models/app=vllm, or */SELECTOR for all namespaces")
	}
	if _, err := labels.Parse(selector); err != nil {
		return "", "", fmt.Errorf("its label selector: %w", err)
	}
	return strings.TrimPrefix(namespace, "*"), selector, nil
}

// inferencePools checks the selector of pools.
func (b *builder) inferencePools() {
	if text := b.file.Weir.InferencePools; text != "" {
		if _, _, err := PoolSelector(text); err != nil {
			b.wrong("weir.inferencePools", "%v", err)
		}
	}
}

// Found reports whether the plan is that of a pool that was found.
func (p *Plan) Found() bool { return p.isFound }

// HoldTo has pools that are found keep of the plan that a replica started by what hold says,
// which is given a pool's plan as it is now and as it would have been then.
func (p *Plan) HoldTo(start *Plan, hold func(plan, start *Plan)) { p.start, p.hold = start.from, hold }

// WithPools returns the plan with these pools beside the file's, in place of those that were
// found before. The plans of pools that are as they were stay the same. A name and a model are
// the file's, by its patterns too, or else of the first that has them; what only * of the file
// takes is anybody's. What cannot be a pool is left out. An InferencePool that is one of the
// file's pools is that one.
func (p *Plan) WithPools(found []FoundPool) (*Plan, []LeftOut) {
	with := *p
	with.found = make(map[string]FoundPool)
	with.Pools = slices.DeleteFunc(slices.Clone(p.Pools), (*Plan).Found)
	pools := slices.DeleteFunc(slices.Clone(p.File.Weir.Pools), func(of Pool) bool { _, known := p.found[of.Name]; return known })
	names, own, models := make(map[string]bool), make(map[string]bool), newClaims()
	take := func(pool string, all []string, found bool) {
		names[pool] = true
		for _, model := range all {
			models.take(model, pool, found)
		}
	}
	for i := range pools {
		take(pools[i].Name, pools[i].Models, false)
		own[pools[i].InferencePool] = true
	}
	var left []LeftOut
	for _, f := range found {
		if own[f.InferencePool] {
			continue // it has settings of its own
		}
		err := models.refusesFound(&f)
		switch {
		case names[f.Name]:
			err = fmt.Errorf("there is a pool %q", f.Name)
		case len(f.Models) == 0 && !p.from.envoyNames():
			err = errors.New("no request can be for it: its annotation names no models, and neither weir.extProc.poolHeader nor poolAttribute the pool")
		}
		var plan *Plan
		var part Pool
		if err == nil {
			plan, part, err = p.planOfFound(&f)
		}
		if err != nil {
			left = append(left, LeftOut{f, err})
			continue
		}
		take(f.Name, f.Models, true)
		with.found[f.Name] = f
		with.Pools = append(with.Pools, plan)
		pools = append(pools, part)
	}
	with.File.Weir.Pools, with.Models = pools, models.Models
	return &with, left
}

// planOfFound is the plan of a pool that was found, with all that holds for it: the one that
// there is, if it is as it was.
func (p *Plan) planOfFound(f *FoundPool) (*Plan, Pool, error) {
	if was, known := p.found[f.Name]; known && reflect.DeepEqual(was, *f) {
		plan := slices.IndexFunc(p.Pools, func(of *Plan) bool { return of.isFound && of.File.Weir.Pool == f.Name })
		part := slices.IndexFunc(p.File.Weir.Pools, func(of Pool) bool { return of.Name == f.Name })
		return p.Pools[plan], p.File.Weir.Pools[part], nil
	}
	plan, err := p.from.forFound(f)
	if err != nil {
		return nil, Pool{}, err
	}
	if p.start != nil {
		start, err := p.start.forFound(f)
		if err != nil {
			return nil, Pool{}, err
		}
		p.hold(plan, start)
	}
	plan.File.Weir.Replica = p.File.Weir.Replica
	part := Pool{Name: f.Name, Models: f.Models}
	part.fill(&plan.File)
	return plan, part, nil
}

// forFound builds the plan of a pool that was found by what the file says for all.
func (b *builder) forFound(f *FoundPool) (*Plan, error) {
	word := func(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text} }
	of := b.forPool("the InferencePool "+f.InferencePool, &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		word("name"), word(f.Name), word("inferencePool"), word(f.InferencePool),
	}})
	if len(of.problems) > 0 {
		return nil, of.problems.sorted(of.name)
	}
	of.plan.isFound = true
	return &of.plan, nil
}
