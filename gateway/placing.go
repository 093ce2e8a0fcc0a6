package gateway

import (
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/policies"
)

// placement is where a request goes.
type placement struct {
	query  endpoints.Query
	slot   *endpoints.Slot    // at an endpoint; nil for none
	staged []endpoints.Staged // where it goes before it is answered, until it is
}

// goneThrough returns the slots of what is done before the request is answered.
func (p *placement) goneThrough() {
	for i := range p.staged {
		p.staged[i].Return()
	}
	p.staged = nil
}

// giveBack returns the slot at an endpoint, if one is held.
func (p *placement) giveBack() {
	if p.slot != nil {
		p.slot.Return()
		p.slot = nil
	}
}

// Within has the request go to one of these endpoints, by their addresses, or nil for any; so
// many others are named with it to turn to.
func (s *Session) Within(addresses map[string]bool, others int) {
	s.place.query.Subset, s.place.query.Fallbacks = addresses, others
}

// Slot is what the request holds at an endpoint; nil for nothing.
func (s *Session) Slot() *endpoints.Slot { return s.place.slot }

// ask is the request as one that needs an endpoint.
func (s *Session) ask() *endpoints.Query {
	q, a := &s.place.query, &s.asked
	if q.Prefixes == nil {
		q.Prefixes = s.pool.endpoints.Prefixes(a.Model, a.Prompt)
	}
	q.Model, q.Tokens, q.Session = a.Model, a.InputTokens+a.OutputTokens, s.caller.token
	if q.Profile = a.profile; len(s.by().Stages) > 0 {
		q.PromptTokens, q.Media = a.InputTokens, a.HasMedia
	}
	return q
}

// by is the profile by which its endpoint is chosen.
func (s *Session) by() *endpoints.Profile {
	if s.asked.profile != nil {
		return s.asked.profile
	}
	return &s.pool.cfg.Endpoints.Profile
}

// Prefer has the request wait for the endpoint that suits it best, where this replica chooses
// it.
func (s *Session) Prefer() {
	if p := s.pool; p.cfg.Controller.Bounded() && !p.shadow.On() {
		s.leave.Prefer = p.endpoints.Prefer(s.ask())
	}
}

// Place takes a slot at an endpoint that was not tried, in place of the one held, and returns
// others to turn to. It reports false, and holds none, if no endpoint can be used.
func (s *Session) Place() (others []*endpoints.Endpoint, ok bool) {
	p, q := s.pool, s.ask()
	q.Granted, q.Preferred = s.leave.Granted()
	q.May = func(address string) bool { return p.cfg.Controller.MayPlace(&s.leave.Request, address) }
	s.place.giveBack()
	s.place.goneThrough()
	if s.place.slot, others = p.endpoints.Take(q); s.place.slot == nil {
		return nil, false
	}
	s.place.staged = s.place.slot.Staged()
	s.placed(s.place.slot.Endpoint)
	q.Tried = append(q.Tried, s.place.slot.Endpoint)
	return others, true
}

// PlaceAt takes a slot at the endpoint that something else chose, in place of the one held.
func (s *Session) PlaceAt(e *endpoints.Endpoint) {
	s.place.giveBack()
	s.place.slot = e.Claim(s.asked.InputTokens + s.asked.OutputTokens)
	s.record.endpoint = e.Address()
	s.pool.cfg.Controller.Place(&s.leave.Request, s.record.endpoint)
}

// PrefilledAt counts the request at the endpoint that something else chose to read its prompt,
// until the answer begins.
func (s *Session) PrefilledAt(e *endpoints.Endpoint) {
	if len(s.place.staged) == 0 {
		s.place.staged = []endpoints.Staged{{Stage: policies.Prefill, Slots: []*endpoints.Slot{e.Claim(s.asked.InputTokens)}}}
	}
}

// placed notes where the request goes that this replica chose an endpoint for.
func (s *Session) placed(at *endpoints.Endpoint) {
	s.record.endpoint = at.Address()
	s.record.session = s.by().SessionOf(s.record.endpoint)
	s.pool.cfg.Controller.Place(&s.leave.Request, s.record.endpoint)
}

// Moved notes that the request went to another endpoint than the one it was placed at,
// which could not be reached.
func (s *Session) Moved(to *endpoints.Endpoint, cause error) {
	first := s.place.slot
	s.place.slot = first.Move(to)
	s.placed(to)
	s.pool.cfg.Metrics.FellBack()
	s.pool.cfg.Metrics.UpstreamFailed(first.Address(), failureOf(cause))
	first.Unreachable(cause)
}

// Unreached notes that the request's endpoint could not be connected to.
func (s *Session) Unreached(cause error) {
	if slot := s.place.slot; slot != nil {
		s.pool.cfg.Metrics.UpstreamFailed(slot.Address(), failureOf(cause))
		slot.Unreachable(cause)
		s.place.slot = nil
	}
}

// Stages calls set with the headers that name the endpoints which the request goes through.
func (s *Session) Stages(set func(name, value string)) {
	for i := range s.place.staged {
		for _, name := range headers.Stages[s.place.staged[i].Stage] {
			set(name, s.place.staged[i].Addresses())
		}
	}
}
