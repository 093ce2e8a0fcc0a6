package endpoints

import (
	"slices"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// Query is a request that needs an endpoint. It is one request's, to be used by one goroutine.
type Query struct {
	// Model is the model or adapter it asks for, and Prefixes are what Pool.Prefixes returns
	// of its prompt.
	Model    string
	Prefixes []uint64
	// Tokens is what it is expected to cost.
	Tokens int64
	// Profile says how an endpoint is chosen; nil for as the pool does.
	Profile *Profile
	// PromptTokens is how long its prompt is taken to be, and Media says whether there is
	// anything but text in it; they are only read where a profile has stages. Nil for text.
	PromptTokens int64
	Media        func() bool
	// Subset holds the addresses of the endpoints it may go to, or only their hosts;
	// nil for all.
	Subset map[string]bool
	// Tried are endpoints that could not be reached.
	Tried []*Endpoint
	// Granted is the endpoint that it was granted for, with the requests in flight there as
	// the ledger counted: no endpoint had fewer, unless it is the one that Prefer returned,
	// as Preferred says. It is empty if the ledger counts none, and before the grant.
	Granted   store.Load
	Preferred bool
	// Session is what its client gave to go where an earlier request went; empty for none.
	Session string
	// Fallbacks is how many more endpoints to return.
	Fallbacks int
	// May is asked whether the request may go to the endpoint that suits it best; if it may
	// not, it goes to Granted. It goes to others that it may where that is none of those to
	// choose from, and where it wants if it may go to none. Nil for always.
	May func(address string) bool
}

// may reports whether the request may go to an endpoint.
func (q *Query) may(e *Endpoint) bool {
	return (q.Subset == nil || q.Subset[e.address] || q.Subset[e.URL().Hostname()]) && !slices.Contains(q.Tried, e)
}

// Prefixes returns what is remembered of a prompt for a model, as sent; nothing where no
// plug-in goes by prefixes.
func (p *Pool) Prefixes(model string, prompt []byte) []uint64 {
	if p.prefixes == nil {
		return nil
	}
	return p.prefixes.hash(model, prompt)
}

// Prefer returns the address of the endpoint that suits a request best before it is granted,
// if it is by more than how busy the endpoints are: the ledger is then to be asked for that
// one. It is empty otherwise, since the ledger knows best how busy they are.
func (p *Pool) Prefer(q *Query) string {
	if !p.affinity && q.Subset == nil || len(p.Endpoints()) < 2 {
		return ""
	}
	s := selection{query: q, pool: p, profile: p.profileOf(q)}
	s.candidates()
	s.weigh()
	if len(s.endpoints) == 0 {
		return ""
	}
	if i := s.pick(); s.apart || s.affinity[i] > slices.Min(s.affinity) {
		return s.endpoint(i).address
	}
	return ""
}

// Take chooses an endpoint for a request and takes a slot there. It also returns others
// to use when that cannot be reached. The slot is nil if no endpoint can be used.
func (p *Pool) Take(q *Query) (*Slot, []*Endpoint) {
	s := selection{query: q, pool: p, profile: p.profileOf(q)}
	s.candidates()
	fallbacks := max(q.Fallbacks, s.profile.Picker.Endpoints()-1)
	if s.profile.PrimaryPort != 0 {
		fallbacks = 0 // what is sent names one endpoint: at another's host it would be wrong
	}
	i := s.granted()
	if !q.Preferred || i < 0 || fallbacks > 0 || p.observed { // else all was weighed before
		s.weigh()
		if len(s.endpoints) == 0 {
			return nil, nil
		}
		i = s.choose()
		s.picked(i)
	}
	first := s.endpoint(i)
	slot := first.slot(q.Tokens)
	slot.staged = s.stages(first) // before it is noted that the prompt goes there
	s.noted(first)
	var others []*Endpoint
	for range min(fallbacks, len(s.endpoints)-1) {
		others = append(others, s.endpoint(s.pick()))
	}
	return slot, others
}

// noted notes that the prompt goes to an endpoint.
func (s *selection) noted(at *Endpoint) {
	if x := s.pool.prefixes; x != nil {
		s.pool.board.place(at.address, x.add(at.address, s.query.Prefixes))
	}
}

// selection is one choice. It implements policies.SchedulingRequest.
type selection struct {
	query     *Query
	pool      *Pool
	profile   *Profile
	endpoints []policies.EndpointAccessor
	scores    []float64
	affinity  []float64 // the part of the scores that is not by how busy endpoints are
	apart     bool      // others can be used, and are not for this request
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

// atLeast is how many requests an endpoint has in flight, of which so many are this replica's
// own, by what is newest of what was learnt from the ledger and what came with the grant.
func (q *Query) atLeast(c counted, own int) int {
	switch at := int(q.Granted.InFlight); {
	case q.Granted.Endpoint == c.address:
		return max(own, at)
	case q.Granted.Endpoint == "" || q.Preferred:
		return c.inFlight
	default:
		return max(c.inFlight, at)
	}
}

// candidates lists the endpoints that the request may go to, of equals the least loaded
// first.
func (s *selection) candidates() {
	all := s.pool.Endpoints()
	others := s.pool.cfg.Others()
	start := int(s.pool.rotate.Add(1) % uint64(max(1, len(all))))
	var probing []policies.EndpointAccessor // half open, and busy with a request
	for i := range all {
		e := all[(start+i)%len(all)]
		if !e.usable() {
			continue
		}
		if !s.query.may(e) {
			s.apart = true
			continue
		}
		own := e.own.inFlight.Load()
		c := counted{e, int(own + others[e.address].InFlight)}
		c.inFlight = s.query.atLeast(c, int(own))
		switch {
		case own > 0 && e.health.state.Load() == halfOpen:
			probing = append(probing, c)
		case s.query.Granted.Endpoint == e.address:
			s.endpoints = slices.Insert(s.endpoints, 0, policies.EndpointAccessor(c))
		default:
			s.endpoints = append(s.endpoints, c)
		}
	}
	if len(s.endpoints) == 0 {
		s.endpoints = probing
	}
}

// weigh has the profile's filters and scorers judge the candidates.
func (s *selection) weigh() {
	s.remember()
	s.filter()
	s.score()
}

// remember finds out which endpoints have the prompt cached, once.
func (s *selection) remember() {
	if x := s.pool.prefixes; x != nil && s.cached == nil {
		s.cached = x.match(s.query.Prefixes)
	}
}

// filter leaves out what the profile's filters do.
func (s *selection) filter() {
	for _, f := range s.profile.Filters {
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
		s.apart = s.apart || len(kept) < len(s.endpoints) && policies.KnowsAffinity(f)
		s.endpoints = kept
	}
}

// score adds up the scores of the profile's scorers.
func (s *selection) score() {
	s.scores, s.affinity = make([]float64, len(s.endpoints)), make([]float64, len(s.endpoints))
	if len(s.endpoints) < 2 {
		return
	}
	one := make([]float64, len(s.endpoints))
	for _, w := range s.profile.Scorers {
		w.Score(s, s.endpoints, one)
		for i := range one {
			s.scores[i] += w.Weight * one[i]
		}
		if policies.KnowsAffinity(w.EndpointScorer) {
			for i := range one {
				s.affinity[i] += w.Weight * one[i]
			}
		}
	}
}

// granted is which candidate the request was granted for, and -1 for none of them.
func (s *selection) granted() int {
	return slices.IndexFunc(s.endpoints, func(e policies.EndpointAccessor) bool { return e.Address() == s.query.Granted.Endpoint })
}

// choose removes the candidate that the request goes to, and returns which it is.
func (s *selection) choose() int {
	granted := s.granted()
	if s.query.Preferred && granted >= 0 {
		s.scores[granted] = -1
		return granted
	}
	scores := slices.Clone(s.scores)
	first := s.pick()
	if s.query.May == nil || s.query.May(s.endpoint(first).address) {
		return first
	}
	chosen := granted
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
	i := s.profile.Picker.Pick(s.scores, s.pool.draw)
	s.scores[i] = -1
	return i
}

func (s *selection) endpoint(i int) *Endpoint { return s.endpoints[i].(counted).Endpoint }

// picked tells the scorers that ask where the request goes.
func (s *selection) picked(i int) {
	for _, w := range s.profile.Scorers {
		if o, ok := w.EndpointScorer.(policies.PickObserver); ok {
			o.Picked(s, s.endpoints, i)
		}
	}
}
