package overrides

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// Subject is what an override is of: a flow, by its id, or an endpoint, by its address.
type Subject struct {
	Flow     string
	Endpoint string
}

// name is the subject's in the ledger.
func (s Subject) name() string {
	if s.Endpoint != "" {
		return "endpoint " + s.Endpoint
	}
	return "flow " + s.Flow
}

// subjectNamed is the inverse of name.
func subjectNamed(name string) (s Subject, ok bool) {
	kind, of, _ := strings.Cut(name, " ")
	switch kind {
	case "flow":
		s.Flow = of
	case "endpoint":
		s.Endpoint = of
	}
	return s, of != "" && s != Subject{}
}

// Settings are what is set instead of what the configuration says. What is nil stays.
type Settings struct {
	// Weight is a flow's share at all its priorities.
	Weight *float64 `json:"weight,omitempty"`
	// MaxInFlight and TokensPerMinute are limits of a flow's own; 0 for none.
	MaxInFlight     *int64   `json:"max_in_flight,omitempty"`
	TokensPerMinute *float64 `json:"tokens_per_minute,omitempty"`
	// Drain has nothing more sent to an endpoint.
	Drain bool `json:"drain,omitempty"`
	// Why is what who set it says of it, for others who read it.
	Why string `json:"why,omitempty"`
}

// Bounds on overrides.
const (
	// shortest and longest are how long one may hold.
	shortest, longest = time.Second, 7 * 24 * time.Hour
	// maxWhy is the length of Settings.Why, in bytes.
	maxWhy = 500
)

// ErrInvalid wraps what is wrong with an override.
var ErrInvalid = errors.New("this cannot be set")

// check says what is wrong with an override that is to hold so long.
func (s *Settings) check(of Subject, holds time.Duration) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
	}
	limits := s.Weight != nil || s.MaxInFlight != nil || s.TokensPerMinute != nil
	switch {
	case (of.Flow == "") == (of.Endpoint == ""):
		return wrong("name one flow or one endpoint")
	case holds < shortest || holds > longest:
		return wrong("for %v: it must be from %v to %.0fh, a week", holds, shortest, longest.Hours())
	case len(s.Why) > maxWhy:
		return wrong("the reason is longer than %d bytes", maxWhy)
	case of.Endpoint != "" && (limits || !s.Drain):
		return wrong("an endpoint can be drained, and nothing else")
	case of.Flow != "" && s.Drain:
		return wrong("a flow cannot be drained; a max_in_flight of 1 lets one of its requests go at a time")
	case of.Flow != "" && !limits:
		return wrong("give a weight, max_in_flight or tokens_per_minute")
	case s.Weight != nil && !(*s.Weight > 0 && *s.Weight <= 1e6):
		return wrong("weight %v: it must be above 0, and at most 1000000", *s.Weight)
	case s.MaxInFlight != nil && (*s.MaxInFlight < 0 || *s.MaxInFlight > 1e9):
		return wrong("max_in_flight %d: it must be from 0, for no limit, to 1000000000", *s.MaxInFlight)
	case s.TokensPerMinute != nil && !(*s.TokensPerMinute >= 0 && *s.TokensPerMinute <= 1e15):
		return wrong("tokens_per_minute %v: it must be at least 0, for no limit", *s.TokensPerMinute)
	}
	return nil
}

// words says what is set, for people.
func (s *Settings) words() string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if s.Weight != nil {
		add("weight %v", *s.Weight)
	}
	if s.MaxInFlight != nil {
		add("at most %d in flight", *s.MaxInFlight)
		if *s.MaxInFlight == 0 {
			parts[len(parts)-1] = "no limit in flight"
		}
	}
	if s.TokensPerMinute != nil {
		add("%.0f tokens a minute", *s.TokensPerMinute)
		if *s.TokensPerMinute == 0 {
			parts[len(parts)-1] = "no limit of tokens"
		}
	}
	if s.Drain {
		add("drained")
	}
	return strings.Join(parts, ", ")
}

// Override is what an operator set of a subject, until a time.
type Override struct {
	Subject
	Settings
	// Set is when it was set, by the ledger's clock, to hold for Holds, until Until by this
	// replica's.
	Set, Until time.Time
	Holds      time.Duration
}

// Words says what is set, for people.
func (o *Override) Words() string { return o.Settings.words() }

// kept is what the ledger keeps of a subject.
type kept struct {
	Settings
	For time.Duration `json:"for"`
}

// decode reads what the ledger keeps of a subject. What is not valid is left alone.
func decode(of Subject, value string) (k kept, ok bool) {
	err := json.Unmarshal([]byte(value), &k)
	return k, err == nil && k.check(of, k.For) == nil
}

// Set is the overrides that hold at a time. It does not change, and a nil one has none.
type Set struct {
	list []Override // by subject
	of   map[Subject]*Override
}

// All lists them, by their subjects; it is not to be changed.
func (s *Set) All() []Override {
	if s == nil {
		return nil
	}
	return s.list
}

// Flow returns what is set of a flow; nil for nothing.
func (s *Set) Flow(id string) *Override {
	if s == nil {
		return nil
	}
	return s.of[Subject{Flow: id}]
}

// Weight puts the set weights over those of the configuration.
func (s *Set) Weight(configured func(policies.FlowKey) float64) func(policies.FlowKey) float64 {
	return func(key policies.FlowKey) float64 {
		if o := s.Flow(key.ID); o != nil && o.Weight != nil {
			return *o.Weight
		}
		return configured(key)
	}
}

// Limit puts the set limits over those of the configuration.
func (s *Set) Limit(configured func(id string) shard.Limit) func(id string) shard.Limit {
	return func(id string) shard.Limit {
		limit := configured(id)
		if o := s.Flow(id); o != nil {
			if o.MaxInFlight != nil {
				limit.MaxInFlight = *o.MaxInFlight
			}
			if o.TokensPerMinute != nil {
				limit.TokensPerMinute = *o.TokensPerMinute
			}
		}
		return limit
	}
}

// Drained are the addresses of the drained endpoints.
func (s *Set) Drained() map[string]bool {
	drained := make(map[string]bool)
	for i := range s.All() {
		if o := &s.list[i]; o.Drain {
			drained[o.Endpoint] = true
		}
	}
	return drained
}
