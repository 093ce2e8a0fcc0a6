package policies

import (
	"errors"
	"fmt"
)

// Set holds the plug-in instances of one configuration, by name. It is filled
// while loading; afterwards it is safe for concurrent use.
type Set struct {
	registry *Registry
	byName   map[string]Plugin
}

// NewSet returns an empty set that builds plug-ins with the registry.
func NewSet(r *Registry) *Set {
	return &Set{registry: r, byName: make(map[string]Plugin)}
}

// Declare adds an instance, or returns ErrDuplicate.
func (s *Set) Declare(p Plugin) error {
	name := p.TypedName().Name
	if _, taken := s.byName[name]; taken {
		return fmt.Errorf("plug-in %q: %w", name, ErrDuplicate)
	}
	s.byName[name] = p
	return nil
}

// Fairness returns the fairness policy that ref names.
func (s *Set) Fairness(ref string) (FairnessPolicy, error) {
	return lookup[FairnessPolicy](s, ref, "a fairness policy")
}

// Ordering returns the ordering policy that ref names.
func (s *Set) Ordering(ref string) (OrderingPolicy, error) {
	return lookup[OrderingPolicy](s, ref, "an ordering policy")
}

// Saturation returns the saturation detector that ref names.
func (s *Set) Saturation(ref string) (SaturationDetector, error) {
	return lookup[SaturationDetector](s, ref, "a saturation detector")
}

// Band returns the band policy that ref names.
func (s *Set) Band(ref string) (BandPolicy, error) {
	return lookup[BandPolicy](s, ref, "a band policy")
}

// UsageLimit returns the usage limit policy that ref names.
func (s *Set) UsageLimit(ref string) (UsageLimitPolicy, error) {
	return lookup[UsageLimitPolicy](s, ref, "a usage limit policy")
}

// Scorer returns the scorer that ref names.
func (s *Set) Scorer(ref string) (EndpointScorer, error) {
	return lookup[EndpointScorer](s, ref, "a scorer")
}

// Picker returns the picker that ref names.
func (s *Set) Picker(ref string) (EndpointPicker, error) {
	return lookup[EndpointPicker](s, ref, "a picker")
}

// Decider returns the decider about a stage that ref names.
func (s *Set) Decider(ref string) (StageDecider, error) {
	return lookup[StageDecider](s, ref, "a decider")
}

// Named returns the plug-in that was declared under the name.
func (s *Set) Named(name string) (Plugin, error) { return lookup[Plugin](s, name, "a plug-in") }

// lookup finds a declared plug-in; a name that is not declared and is a type
// stands for that type with its defaults, made on first use.
func lookup[P Plugin](s *Set, ref, kind string) (P, error) {
	var none P
	p, ok := s.byName[ref]
	if !ok {
		made, err := s.registry.New(ref, ref, nil)
		if errors.Is(err, ErrUnknownType) {
			return none, fmt.Errorf("%w: %q", ErrUnknownPlugin, ref)
		}
		if err != nil {
			return none, err
		}
		p = made
		s.byName[ref] = p
	}
	as, ok := p.(P)
	if !ok {
		return none, fmt.Errorf("%w: %s is not %s", ErrWrongKind, p.TypedName(), kind)
	}
	return as, nil
}
