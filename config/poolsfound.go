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
	Err           error // why it cannot be a pool as it is now; nil if it can
}

// LeftOut says why something that was found cannot be a pool.
type LeftOut struct {
	Pool FoundPool
	Err  error
	Kept bool // there is a pool of it, as it was before
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
// which is given a pool's plan as it is now and as it would have been then. Those of the plan
// that is in effect are there before others that come.
func (p *Plan) HoldTo(start, running *Plan, hold func(plan, start *Plan)) {
	p.start, p.before, p.hold = start.from, running.found, hold
}

// WithPools returns the plan with these pools beside the file's, in place of those that were
// found before. The plans of pools that are as they were stay the same. A name and a model are
// the file's, by its patterns too, or else of the pool that has them already, or of the first;
// what only * of the file takes is anybody's. What cannot be a pool is left out, and what was one
// before its change stays as it was, if the file leaves it that. An InferencePool that is one of
// the file's pools is that one.
func (p *Plan) WithPools(found []FoundPool) (*Plan, []LeftOut) {
	with := *p
	with.found, with.before = make(map[string]FoundPool), nil
	with.Pools = slices.DeleteFunc(slices.Clone(p.Pools), (*Plan).Found)
	pools := slices.DeleteFunc(slices.Clone(p.File.Weir.Pools), func(of Pool) bool { _, known := p.found[of.Name]; return known })
	own := make(map[string]bool)
	for i := range pools {
		own[pools[i].InferencePool] = true
	}
	found = slices.DeleteFunc(slices.Clone(found), func(f FoundPool) bool { return own[f.InferencePool] }) // it has settings of its own
	accepted, refused := p.accept(pools, found)
	models := claimed(pools)
	var left []LeftOut
	for _, f := range found {
		now, serves := accepted[f.InferencePool]
		err := refused[f.InferencePool]
		if serves {
			plan, part, wrong := p.planOfFound(&now)
			if wrong != nil {
				left = append(left, LeftOut{Pool: f, Err: wrong})
				continue
			}
			models.takeFound(&now)
			with.found[now.Name] = now
			with.Pools = append(with.Pools, plan)
			pools = append(pools, part)
		}
		if err != nil {
			left = append(left, LeftOut{f, err, serves})
		}
	}
	with.File.Weir.Pools, with.Models = pools, models.Models
	return &with, left
}

// accept says as what those that were found can be pools beside the file's, by their
// InferencePools, and why others cannot be as they are now. Each change is taken by itself: one
// waits for another that makes room for it, whichever comes first.
func (p *Plan) accept(pools []Pool, found []FoundPool) (accepted map[string]FoundPool, refused map[string]error) {
	accepted, refused = make(map[string]FoundPool), make(map[string]error)
	models := claimed(pools)
	take := func(f *FoundPool) {
		accepted[f.InferencePool] = *f
		models.takeFound(f)
	}
	for i := range found {
		if was, known := p.foundBefore(&found[i]); known && p.possible(models, &was) == nil {
			take(&was)
		}
	}
	for changes := true; changes; {
		changes = false
		for i := range found {
			f := &found[i]
			was, there := accepted[f.InferencePool]
			if there && reflect.DeepEqual(was, *f) {
				delete(refused, f.InferencePool)
				continue
			}
			beside := models
			if there {
				beside = claimed(pools)
				for of, other := range accepted {
					if of != f.InferencePool {
						beside.takeFound(&other)
					}
				}
			}
			if err := p.possible(beside, f); err != nil {
				refused[f.InferencePool] = err
				continue
			}
			models, changes = beside, true
			take(f)
			delete(refused, f.InferencePool)
		}
	}
	return accepted, refused
}

// foundBefore is what something that was found was as a pool, in the plan or in the one that this
// plan comes after.
func (p *Plan) foundBefore(f *FoundPool) (was FoundPool, known bool) {
	for _, before := range []map[string]FoundPool{p.found, p.before} {
		if was, known = before[f.Name]; known {
			return was, was.InferencePool == f.InferencePool
		}
	}
	return was, false
}

// possible reports why something that was found cannot be a pool beside others.
func (p *Plan) possible(beside *claims, f *FoundPool) error {
	switch err := beside.refusesFound(f); {
	case f.Err != nil:
		return f.Err
	case beside.pools[f.Name]:
		return fmt.Errorf("there is a pool %q", f.Name)
	case len(f.Models) == 0 && !p.from.envoyNames():
		return errors.New("no request can be for it: its annotation names no models, and neither weir.extProc.poolHeader nor poolAttribute the pool")
	default:
		return err
	}
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
