package gateway

import (
	"errors"
	"net/url"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/policies"
)

// Placement is where a request goes. It is used by the session's goroutine.
type Placement struct {
	pool    *Pool // nil until it is known
	request *controller.Request
	body    *Body
	record  *Record
	token   string             // what its client gave to go where an earlier request went
	profile *endpoints.Profile // by which its endpoint is chosen, where requests say that; nil if it names none

	query  endpoints.Query
	slot   *endpoints.Slot    // at an endpoint; nil for none
	staged []endpoints.Staged // where it goes before it is answered, until it is
}

// goneThrough returns the slots of what is done before the request is answered.
func (p *Placement) goneThrough() {
	for i := range p.staged {
		p.staged[i].Return()
	}
	p.staged = nil
}

// giveBack returns the slot at an endpoint, if one is held.
func (p *Placement) giveBack() {
	if p.slot != nil {
		p.slot.Return()
		p.slot = nil
	}
}

// Within has the request go to one of these endpoints, by their addresses, or nil for any; so
// many others are named with it to turn to.
func (p *Placement) Within(addresses map[string]bool, others int) {
	p.query.Subset, p.query.Fallbacks = addresses, others
}

// Slot is what the request holds at an endpoint; nil for nothing.
func (p *Placement) Slot() *endpoints.Slot { return p.slot }

// ask is the request as one that needs an endpoint.
func (p *Placement) ask() *endpoints.Query {
	q, r := &p.query, &p.body.request
	if q.Prefixes == nil {
		q.Prefixes = p.pool.endpoints.Prefixes(r.Model, r.Prompt)
	}
	q.Model, q.Tokens, q.Session = r.Model, r.InputTokens+r.OutputTokens, p.token
	if q.Profile = p.profile; len(p.by().Stages) > 0 {
		q.PromptTokens, q.Media = r.InputTokens, r.HasMedia
	}
	return q
}

// by is the profile by which its endpoint is chosen.
func (p *Placement) by() *endpoints.Profile {
	if p.profile != nil {
		return p.profile
	}
	return &p.pool.cfg.Endpoints.Profile
}

// Prefer has the request wait for the endpoint that suits it best, where this replica chooses
// it.
func (p *Placement) Prefer() {
	if p.pool.cfg.Controller.Bounded() && !p.pool.shadow.On() {
		p.request.Prefer = p.pool.endpoints.Prefer(p.ask())
	}
}

// Take takes a slot at an endpoint that was not tried, in place of the one held, and returns
// others to turn to. It reports false, and holds none, if no endpoint can be used.
func (p *Placement) Take() (others []*endpoints.Endpoint, ok bool) {
	q, decides := p.ask(), p.pool.cfg.Controller
	q.Granted, q.Preferred = p.request.Granted()
	q.May = func(address string) bool { return decides.MayPlace(p.request, address) }
	p.giveBack()
	p.goneThrough()
	if p.slot, others = p.pool.endpoints.Take(q); p.slot == nil {
		return nil, false
	}
	p.staged = p.slot.Staged()
	p.placed(p.slot.Endpoint)
	q.Tried = append(q.Tried, p.slot.Endpoint)
	return others, true
}

// TakeAt takes a slot at the endpoint that something else chose, in place of the one held.
func (p *Placement) TakeAt(e *endpoints.Endpoint) {
	p.giveBack()
	p.slot = e.Claim(p.body.request.InputTokens + p.body.request.OutputTokens)
	p.record.endpoint = e.Address()
	p.pool.cfg.Controller.Place(p.request, p.record.endpoint)
}

// PrefilledAt counts the request at the endpoint that something else chose to read its prompt,
// until the answer begins.
func (p *Placement) PrefilledAt(e *endpoints.Endpoint) {
	if len(p.staged) == 0 {
		p.staged = []endpoints.Staged{{Stage: policies.Prefill, Slots: []*endpoints.Slot{e.Claim(p.body.request.InputTokens)}}}
	}
}

// placed notes where the request goes that this replica chose an endpoint for.
func (p *Placement) placed(at *endpoints.Endpoint) {
	p.record.endpoint = at.Address()
	p.record.session = p.by().SessionOf(p.record.endpoint)
	p.pool.cfg.Controller.Place(p.request, p.record.endpoint)
}

// Failed counts a failure of the server that the request went to.
func (p *Placement) Failed(how metrics.Failure) {
	p.pool.cfg.Metrics.UpstreamFailed(p.record.endpoint, how)
}

// Moved notes that the request went to another endpoint than the one it was placed at,
// which could not be reached.
func (p *Placement) Moved(to *endpoints.Endpoint, cause error) {
	first := p.slot
	p.slot = first.Move(to)
	p.placed(to)
	p.pool.cfg.Metrics.FellBack()
	p.pool.cfg.Metrics.UpstreamFailed(first.Address(), failureOf(cause))
	first.Unreachable(cause)
}

// Unreached notes that the request's endpoint could not be connected to.
func (p *Placement) Unreached(cause error) {
	if slot := p.slot; slot != nil {
		p.pool.cfg.Metrics.UpstreamFailed(slot.Address(), failureOf(cause))
		slot.Unreachable(cause)
		p.slot = nil
	}
}

// Destination is where the request is sent for the endpoint that it was placed at: the URL, and
// its host and port.
func (p *Placement) Destination() (to *url.URL, address string) {
	return p.by().Destination(p.slot.Endpoint)
}

// Route calls set with the headers that name the endpoints which the request goes through, and
// the one that answers where that is not who it is sent to.
func (p *Placement) Route(set func(name, value string)) {
	if p.by().PrimaryPort != 0 {
		set(headers.Rank, p.slot.Address())
	}
	for i := range p.staged {
		for _, name := range headers.Stages[p.staged[i].Stage] {
			set(name, p.staged[i].Addresses())
		}
	}
}

// failureOf is the kind of a failure for which an endpoint is to be left.
func failureOf(cause error) metrics.Failure {
	switch {
	case errors.Is(cause, errFirstByte):
		return metrics.NoAnswer
	case errors.Is(cause, errBetweenBytes):
		return metrics.Stalled
	}
	return metrics.Unreachable
}
