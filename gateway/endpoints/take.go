package endpoints

import (
	"slices"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// Query is a dispatched request that needs an endpoint.
type Query struct {
	// Model is the model or adapter it asks for. Prompt is its prompt as sent, which
	// is only read where a scorer uses prefixes.
	Model  string
	Prompt []byte
	// Tokens is what it is expected to cost.
	Tokens int64
	// Subset holds the addresses of the endpoints it may go to, or only their hosts;
	// nil for all.
	Subset map[string]bool
	// Tried are endpoints that could not be reached.
	Tried []*Endpoint
	// Least is the least loaded endpoint, as the ledger counted at the grant: no
	// endpoint had fewer requests in flight. It is empty if the ledger counts none.
	Least store.Load
	// Session is what its client gave to go where an earlier request went; empty for none.
	Session string
	// Fallbacks is how many more endpoints to return.
	Fallbacks int
	// May is asked whether the request may go to the endpoint that suits it best; if it may
	// not, it goes to Least. It goes to others that it may where Least is none of those to
	// choose from, and where it wants if it may go to none. Nil for always.
	May func(address string) bool
}

// may reports whether the request may go to an endpoint.
func (q *Query) may(e *Endpoint) bool {
	return (q.Subset == nil || q.Subset[e.address] || q.Subset[e.URL().Hostname()]) && !slices.Contains(q.Tried, e)
}

// Take chooses an endpoint for a request and takes a slot there. It also returns others
// to use when that cannot be reached. The slot is nil if no endpoint can be used.
func (p *Pool) Take(q *Query) (*Slot, []*Endpoint) {
	s := selection{query: q, pool: p}
	s.candidates()
	if len(s.endpoints) == 0 {
		return nil, nil
	}
	i := s.choose()
	s.picked(i)
	first := s.endpoint(i)
	slot := first.slot(q.Tokens)
	if p.prefixes != nil {
		fresh := p.prefixes.add(first.address, s.hashes)
		p.board.place(first.address, fresh)
	}
	fallbacks := max(q.Fallbacks, p.cfg.Profile.Picker.Endpoints()-1)
	var others []*Endpoint
	for range min(fallbacks, len(s.endpoints)-1) {
		others = append(others, s.endpoint(s.pick()))
	}
	return slot, others
}

// selection is one choice. It implements policies.SchedulingRequest.
type selection struct {
	query     *Query
	pool      *Pool
	endpoints []policies.EndpointAccessor
	scores    []float64
	hashes    []uint64
	cached    map[string]float64
}

// Model implements policies.SchedulingRequest.
func (s *selection) Model() string { return s.query.Model }

// Cached implements policies.SchedulingRequest.
func (s *selection) Cached(address string) float64 { return s.cached[address] }

// Session implements policies.SchedulingRequest.
func (s *selection) Session() string { return s.query.Session }

// counted is an endpoint with a minimum number of requests in flight.
type counted struct {
	*Endpoint
	inFlight int
}

// InFlight implements policies.EndpointAccessor.
func (c counted) InFlight() int { return c.inFlight }

// candidates lists the endpoints that the request may go to, of equals the least loaded
// first. The load that came with the grant is newer than what is known of the others.
func (s *selection) candidates() {
	all := s.pool.Endpoints()
	others := s.pool.cfg.Others()
	start := int(s.pool.rotate.Add(1) % uint64(max(1, len(all))))
	var probing []policies.EndpointAccessor // half open, and busy with a request
	for i := range all {
		e := all[(start+i)%len(all)]
		if !e.usable() || !s.query.may(e) {
			continue
		}
		own := e.own.inFlight.Load()
		c := counted{e, int(own + others[e.address].InFlight)}
		if least := s.query.Least; least.Endpoint != "" {
			if c.inFlight = max(c.inFlight, int(least.InFlight)); least.Endpoint == e.address {
				c.inFlight = max(int(own), int(least.InFlight))
			}
		}
		switch {
		case own > 0 && e.health.state.Load() == halfOpen:
			probing = append(probing, c)
		case s.query.Least.Endpoint == e.address:
			s.endpoints = slices.Insert(s.endpoints, 0, policies.EndpointAccessor(c))
		default:
			s.endpoints = append(s.endpoints, c)
		}
	}
	if len(s.endpoints) == 0 {
		s.endpoints = probing
	}
	if x := s.pool.prefixes; x != nil {
		s.hashes = x.hash(s.query.Model, s.query.Prompt)
		s.cached = x.match(s.hashes)
	}
	s.filter()
	s.score()
}

// filter leaves out what the profile's filters do.
func (s *selection) filter() {
	for _, f := range s.pool.cfg.Profile.Filters {
		if len(s.endpoints) == 0 {
			return
		}
		keep := make([]bool, len(s.endpoints))
		f.Keep(s, s.endpoints, keep)
		kept := s.endpoints[:0]
		for i, e := range s.endpoints {
			if keep[i] {
				kept = append(kept, e)
			}
		}
		s.endpoints = kept
	}
}

// score adds up the scores of the profile's scorers.
func (s *selection) score() {
	s.scores = make([]float64, len(s.endpoints))
	if len(s.endpoints) < 2 {
		return
	}
	one := make([]float64, len(s.endpoints))
	for _, w := range s.pool.cfg.Profile.Scorers {
		w.Score(s, s.endpoints, one)
		for i := range one {
			s.scores[i] += w.Weight * one[i]
		}
	}
}

// choose removes the candidate that the request goes to, and returns which it is.
func (s *selection) choose() int {
	scores := slices.Clone(s.scores)
	first := s.pick()
	if s.query.May == nil || s.query.May(s.endpoint(first).address) {
		return first
	}
	chosen := slices.IndexFunc(s.endpoints, func(e policies.EndpointAccessor) bool { return e.Address() == s.query.Least.Endpoint })
	for n := 1; chosen < 0 && n < len(s.endpoints); n++ {
		if i := s.pick(); s.query.May(s.endpoint(i).address) {
			chosen = i
		}
	}
	if chosen < 0 {
		chosen = first
	}
	copy(s.scores, scores)
	s.scores[chosen] = -1
	return chosen
}

// pick removes the candidate that the picker chooses, and returns which it is.
func (s *selection) pick() int {
	i := s.pool.cfg.Profile.Picker.Pick(s.scores, s.pool.draw)
	s.scores[i] = -1
	return i
}

func (s *selection) endpoint(i int) *Endpoint { return s.endpoints[i].(counted).Endpoint }

// picked tells the scorers that ask where the request goes.
func (s *selection) picked(i int) {
	for _, w := range s.pool.cfg.Profile.Scorers {
		if o, ok := w.EndpointScorer.(policies.PickObserver); ok {
			o.Picked(s, s.endpoints, i)
		}
	}
}
