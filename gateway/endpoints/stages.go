package endpoints

import (
	"slices"
	"strings"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// Staged is where a request goes through a stage before it is answered.
type Staged struct {
	Stage policies.Stage
	Slots []*Slot
}

// Addresses are those of the endpoints, as one list.
func (s *Staged) Addresses() string {
	all := make([]string, len(s.Slots))
	for i, slot := range s.Slots {
		all[i] = slot.Address()
	}
	return strings.Join(all, ",")
}

// Return returns the slots.
func (s *Staged) Return() {
	for _, slot := range s.Slots {
		slot.Return()
	}
}

// profileOf is the profile by which a request's endpoint is chosen.
func (p *Pool) profileOf(q *Query) *Profile {
	if q.Profile != nil {
		return q.Profile
	}
	return &p.cfg.Profile
}

// stages takes slots for what is to be done before an endpoint answers. A stage for which none
// can be used is left out: the endpoint that answers does it all.
func (s *selection) stages(at *Endpoint) (all []Staged) {
	for i := range s.profile.Stages {
		stage := &s.profile.Stages[i]
		s.remember()
		if !stage.Decider.Needs(s, at) {
			continue
		}
		of := *s.query
		of.Granted, of.Preferred, of.May = store.Load{}, false, nil // which are of endpoints that answer
		next := selection{query: &of, pool: s.pool, profile: &stage.Profile}
		next.candidates()
		next.weigh()
		staged := Staged{Stage: stage.Stage}
		for range min(stage.Profile.Picker.Endpoints(), len(next.endpoints)) {
			staged.Slots = append(staged.Slots, next.endpoint(next.pick()).slot(s.query.PromptTokens))
		}
		if slices.ContainsFunc(staged.Slots, func(slot *Slot) bool { return slot.Endpoint == at }) {
			staged.Return() // nothing is done elsewhere
			continue
		}
		if len(staged.Slots) > 0 {
			next.noted(staged.Slots[0].Endpoint)
			all = append(all, staged)
		}
	}
	return all
}

// PromptTokens implements policies.SchedulingRequest.
func (s *selection) PromptTokens() int64 { return s.query.PromptTokens }

// Media implements policies.SchedulingRequest.
func (s *selection) Media() bool { return s.query.Media != nil && s.query.Media() }
