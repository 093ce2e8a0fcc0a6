package gateway

import (
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/metrics"
)

// ask is the request as one that needs an endpoint.
func (s *session) ask() *endpoints.Query {
	q := &s.query
	if q.Prefixes == nil {
		q.Prefixes = s.pool.endpoints.Prefixes(s.in.Model, s.in.Prompt)
	}
	q.Model, q.Tokens, q.Session, q.Fallbacks = s.in.Model, s.in.InputTokens+s.in.OutputTokens, s.before, s.gateway.cfg.Fallbacks
	if q.Profile = s.profile; len(s.by().Stages) > 0 {
		q.PromptTokens, q.Media = s.in.InputTokens, s.in.HasMedia
	}
	return q
}

// by is the profile by which its endpoint is chosen.
func (s *session) by() *endpoints.Profile {
	if s.profile != nil {
		return s.profile
	}
	return &s.pool.cfg.Endpoints.Profile
}

// prefer has the request ask for the endpoint that suits it best, where this replica chooses it.
func (s *session) prefer() {
	if p := s.pool; p.cfg.Controller.Bounded() && !p.shadow.On() {
		s.request.Prefer = p.endpoints.Prefer(s.ask())
	}
}

// place takes a slot at an endpoint, in place of the one held, and returns others to
// turn to. It reports false, and holds none, if no endpoint can be used.
func (s *session) place() (others []*endpoints.Endpoint, ok bool) {
	p, q := s.pool, s.ask()
	q.Granted, q.Preferred = s.request.Granted()
	q.May = func(address string) bool { return p.cfg.Controller.MayPlace(&s.request, address) }
	s.giveBack()
	s.goneThrough()
	if s.slot, others = p.endpoints.Take(q); s.slot == nil {
		return nil, false
	}
	s.staged = s.slot.Staged()
	s.placed(s.slot.Endpoint)
	return others, true
}

// placeAt takes a slot at the endpoint that something else chose, in place of the one held.
func (s *session) placeAt(e *endpoints.Endpoint) {
	s.giveBack()
	s.slot = e.Claim(s.in.InputTokens + s.in.OutputTokens)
	s.record.endpoint = e.Address()
	s.pool.cfg.Controller.Place(&s.request, s.record.endpoint)
}

// placed notes where the request goes that this replica chose an endpoint for.
func (s *session) placed(at *endpoints.Endpoint) {
	s.record.endpoint = at.Address()
	s.record.session = s.by().SessionOf(s.record.endpoint)
	s.pool.cfg.Controller.Place(&s.request, s.record.endpoint)
}

// moved notes that the request went to another endpoint than the one it was placed at,
// which could not be reached.
func (s *session) moved(to *endpoints.Endpoint, cause error) {
	first := s.slot
	s.slot = first.Move(to)
	s.placed(to)
	s.pool.cfg.Metrics.UpstreamFailed(first.Address(), metrics.Unreachable)
	first.Unreachable(cause)
}

// unreached notes that the request's endpoint could not be connected to.
func (s *session) unreached(cause error) {
	if s.slot != nil {
		s.pool.cfg.Metrics.UpstreamFailed(s.slot.Address(), failureOf(cause))
		s.slot.Unreachable(cause)
		s.slot = nil
	}
}

// goneThrough returns the slots of what is done before the request is answered.
func (s *session) goneThrough() {
	for i := range s.staged {
		s.staged[i].Return()
	}
	s.staged = nil
}

// giveBack returns the slot at an endpoint, if one is held.
func (s *session) giveBack() {
	if s.slot != nil {
		s.slot.Return()
		s.slot = nil
	}
}

// tellStages calls set with the headers that name the endpoints which the request goes through.
func (s *session) tellStages(set func(name, value string)) {
	for i := range s.staged {
		for _, name := range headers.Stages[s.staged[i].Stage] {
			set(name, s.staged[i].Addresses())
		}
	}
}
