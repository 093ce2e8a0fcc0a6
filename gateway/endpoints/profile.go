package endpoints

import (
	"cmp"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/scheduling"
)

// Profile is how an endpoint is chosen: by the sum of the scores, each times its
// weight.
type Profile struct {
	// Filters are asked one after the other, before the scorers.
	Filters []policies.EndpointFilter
	Scorers []Weighted
	// Prefixes says how prompts are remembered, if anything asks for that; nil for what the
	// first that asks says itself.
	Prefixes *policies.PrefixIndexing
	Picker   policies.EndpointPicker
	// Stages are gone through, in this order, before the endpoint answers.
	Stages []Stage
	// PrimaryPort is the port to which requests for any endpoint of a host are sent, with a header
	// that says which of them was chosen; 0 for each endpoint's own.
	PrimaryPort int
	// Choice has a request name another profile; nil for this one always.
	Choice *Choice
}

// Stage is a part of serving requests for which endpoints of their own are chosen.
type Stage struct {
	Stage policies.Stage
	// Decider says whether a request goes through it, and Profile at which endpoint.
	Decider policies.StageDecider
	Profile Profile
}

// Choice has requests name their profiles.
type Choice struct {
	// Header is that of a request with its profile's name, one of Profiles. Default is the
	// name for those without the header.
	Header, Default string
	Profiles        map[string]*Profile
}

// Of returns the profile that a header of that value asks for; nil if there is none.
func (c *Choice) Of(value string) *Profile { return c.Profiles[cmp.Or(value, c.Default)] }

// Plugins are the filters, scorers and deciders, those of its stages and of other profiles that
// a request may name included.
func (p *Profile) Plugins() []policies.Plugin {
	all := p.own()
	for i := range p.Stages {
		all = append(append(all, p.Stages[i].Decider), p.Stages[i].Profile.own()...)
	}
	if p.Choice != nil {
		for _, name := range slices.Sorted(maps.Keys(p.Choice.Profiles)) {
			all = append(all, p.Choice.Profiles[name].own()...)
		}
	}
	return all
}

// own are its filters and scorers.
func (p *Profile) own() []policies.Plugin {
	all := make([]policies.Plugin, 0, len(p.Filters)+len(p.Scorers))
	for _, f := range p.Filters {
		all = append(all, f)
	}
	for _, s := range p.Scorers {
		all = append(all, s.EndpointScorer)
	}
	return all
}

// SessionOf is what the client of a request is told to give to come back to the endpoint of that
// address; empty where the profile does not go by that.
func (p *Profile) SessionOf(address string) string {
	for _, s := range p.Scorers {
		if k, ok := s.EndpointScorer.(policies.SessionKeeper); ok {
			return k.SessionOf(address)
		}
	}
	return ""
}

// Destination is where a request for an endpoint is sent: the URL, and its host and port.
func (p *Profile) Destination(e *Endpoint) (to *url.URL, address string) {
	if p.PrimaryPort == 0 {
		return e.URL(), e.address
	}
	address = net.JoinHostPort(e.URL().Hostname(), strconv.Itoa(p.PrimaryPort))
	return &url.URL{Scheme: e.URL().Scheme, Host: address}, address
}

// CountsTokens reports whether one of them judges by tokens in flight.
func (p *Profile) CountsTokens() bool {
	return slices.ContainsFunc(p.Plugins(), func(plugin policies.Plugin) bool { return policies.CountsTokens(plugin) })
}

// prefixes is how prompts are to be remembered; nil if nothing asks for it.
func (p *Profile) prefixes() *policies.PrefixIndexing {
	for _, plugin := range p.Plugins() {
		if reader, ok := plugin.(policies.PrefixReader); ok {
			if p.Prefixes != nil {
				return p.Prefixes
			}
			indexing := reader.Prefixes()
			return &indexing
		}
	}
	return nil
}

// knowsAffinity reports whether one of them goes by what endpoints have for a request.
func (p *Profile) knowsAffinity() bool {
	return slices.ContainsFunc(p.Plugins(), policies.KnowsAffinity)
}

// observes reports whether one of them hears of what is picked.
func (p *Profile) observes() bool {
	return slices.ContainsFunc(p.Plugins(), func(plugin policies.Plugin) bool { _, ok := plugin.(policies.PickObserver); return ok })
}

// Weighted is a scorer of a profile.
type Weighted struct {
	policies.EndpointScorer
	Weight float64
}

// LeastLoaded is the profile that goes by requests in flight.
func LeastLoaded() Profile {
	picker, err := scheduling.MaxScoreFactory(scheduling.MaxScoreType, nil)
	if err != nil {
		panic(err) // it was given no parameters
	}
	return Profile{
		Scorers: []Weighted{{scheduling.NewRunningRequests(scheduling.RunningRequestsType), 1}},
		Picker:  picker.(policies.EndpointPicker),
	}
}
