package core

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/store"
)

// loads counts requests at the endpoints: this replica's, which it states, and those of
// the others, which it learns from the ledger. A granted request counts at the endpoint
// that the ledger suggests until its ingress states where it went.
type loads struct {
	bystander
	cfg    *Config
	agenda *agenda

	listed   map[string]bool // the pool's endpoints, if it has a choice of them
	here     map[string]load // this replica's requests at each
	changed  map[string]bool // since they were stated
	carried  map[string]bool // stated by the turn under way
	answered map[string]load // what the ledger counts in its totals
	stated   time.Time       // when all were last stated
	asked    time.Time       // when the others' were last asked for
	others   []store.Load    // to be handed out, nil if they are not new
}

// load is how many requests there are, and what they are expected to cost.
type load struct{ requests, tokens int64 }

func newLoads(cfg *Config, a *agenda) loads {
	return loads{
		cfg: cfg, agenda: a,
		listed: map[string]bool{}, here: map[string]load{}, answered: map[string]load{},
		changed: map[string]bool{}, carried: map[string]bool{},
	}
}

// list says which endpoints a request may go to, by their addresses, and reports whether
// they are counted. One endpoint is no choice and is not, unless tokens are.
func (l *loads) list(addresses []string) (counted bool) {
	listed := make(map[string]bool, len(addresses))
	if len(addresses) > 1 || l.cfg.CountTokens {
		for _, address := range addresses {
			listed[address] = true
		}
	}
	if maps.Equal(listed, l.listed) {
		return len(listed) > 0
	}
	for _, list := range []map[string]bool{listed, l.listed} {
		for address := range list {
			if listed[address] != l.listed[address] {
				l.changed[address] = true
			}
		}
	}
	l.listed, l.agenda.due = listed, true
	return len(listed) > 0
}

// arrive counts a request at an endpoint, if it is named.
func (l *loads) arrive(r *request, endpoint string) {
	r.endpoint = endpoint
	if l.cfg.CountTokens {
		r.tokens = r.InputTokens + r.OutputTokens
	}
	l.add(endpoint, load{1, r.tokens})
}

// depart ends counting it there.
func (l *loads) depart(r *request) { l.add(r.endpoint, load{-1, -r.tokens}) }

// move counts a request where it went; an endpoint that is not counted is ignored.
func (l *loads) move(r *request, endpoint string) {
	if r.endpoint != endpoint && l.listed[endpoint] {
		l.depart(r)
		l.arrive(r, endpoint)
	}
}

// correct states an endpoint's load again: the ledger counts a grant there that was
// returned.
func (l *loads) correct(endpoint string) { l.add(endpoint, load{}) }

func (l *loads) add(endpoint string, delta load) {
	if endpoint == "" {
		return
	}
	now := l.here[endpoint]
	now.requests += delta.requests
	now.tokens += delta.tokens
	if l.here[endpoint] = now; now.requests <= 0 {
		delete(l.here, endpoint)
	}
	l.changed[endpoint] = true
}

// take hands out the others' loads if they are new.
func (l *loads) take() (others []store.Load) {
	others, l.others = l.others, nil
	return others
}

// The loads are a participant.

// state states what changed, and everything from time to time.
func (l *loads) state(now time.Time, s *store.Statement) {
	if len(l.listed) == 0 && len(l.changed) == 0 {
		return
	}
	if s.Register || s.Full || now.Sub(l.stated) >= l.cfg.Timings.RepeatEvery {
		l.stated = now
		for endpoint := range l.listed {
			l.changed[endpoint] = true
		}
		for endpoint := range l.here {
			l.changed[endpoint] = true
		}
	}
	if s.WantLoads = len(l.listed) > 0 && now.Sub(l.asked) >= l.cfg.Timings.LoadsEvery; s.WantLoads {
		l.asked = now
	}
	l.changed, l.carried = l.carried, l.changed
	for endpoint := range l.carried {
		here := l.here[endpoint]
		l.answered[endpoint] = here
		if here.requests == 0 && !l.listed[endpoint] {
			here.requests = store.Gone
		}
		s.Loads = append(s.Loads, store.Load{Endpoint: endpoint, InFlight: here.requests, Tokens: here.tokens})
	}
	slices.SortFunc(s.Loads, func(a, b store.Load) int { return strings.Compare(a.Endpoint, b.Endpoint) })
}

// unanswered has what was stated stated again.
func (l *loads) unanswered() {
	maps.Copy(l.changed, l.carried)
	clear(l.carried)
}

// learn learns the others' loads. The grants among the reply's messages have not been
// read yet: they count where the ledger suggests.
func (l *loads) learn(_ time.Time, s *store.Statement, r *store.Reply) {
	clear(l.carried)
	for i := range s.Loads {
		if stated := &s.Loads[i]; stated.InFlight == store.Gone {
			delete(l.answered, stated.Endpoint)
		}
	}
	if !s.WantLoads {
		return
	}
	unread := make(map[string]int64)
	for i := range r.Messages {
		if m := &r.Messages[i]; m.Kind&store.Granted != 0 {
			unread[m.Endpoint]++
		}
	}
	l.others = make([]store.Load, 0, len(r.Loads))
	for _, total := range r.Loads {
		ours := l.answered[total.Endpoint]
		total.InFlight = max(0, total.InFlight-ours.requests-unread[total.Endpoint])
		total.Tokens = max(0, total.Tokens-ours.tokens)
		l.others = append(l.others, total)
	}
}

// lost forgets the others' loads: they are not known in an outage.
func (l *loads) lost(time.Time) { l.others = []store.Load{} }
