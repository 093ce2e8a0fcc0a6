package core

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/store"
)

// loads is what an ingress keeps of its endpoints: how many of its requests each has,
// which it states, and how many the other replicas' are, which the ledger tells. A
// granted request counts at the endpoint that the ledger suggests until its ingress
// says where it went.
type loads struct {
	listed  map[string]bool // the pool's endpoints, if it has a choice of them
	here    map[string]load // this replica's requests at each
	changed map[string]bool // since the ledger was last told
	told    map[string]load // what it was last told
	stated  time.Time       // when it was told all
	asked   time.Time       // when it was last asked for the others'
	others  []store.Load    // to be told of, nil if they are not new
}

// load is how many requests there are, and what they are expected to cost.
type load struct{ requests, tokens int64 }

func newLoads() loads {
	return loads{listed: map[string]bool{}, here: map[string]load{}, changed: map[string]bool{}, told: map[string]load{}}
}

// othersEvery is how often the ledger is asked for the others' loads. Each answer
// has all endpoints.
const othersEvery = 20 * time.Millisecond

// SetEndpoints says which endpoints a request may go to, by their addresses, and
// reports whether they are counted. One endpoint is no choice and is not, unless tokens
// are.
func (c *Core) SetEndpoints(addresses []string) (counted bool) {
	l := &c.loads
	listed := make(map[string]bool, len(addresses))
	if len(addresses) > 1 || c.cfg.CountTokens {
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
	l.listed, c.turn.due = listed, true
	return len(listed) > 0
}

// Place says to which endpoint a dispatched request went; one that is not counted is
// passed over.
func (c *Core) Place(id uint64, endpoint string) {
	if r := c.inFlight[c.own(id)]; r != nil && r.endpoint != endpoint && c.loads.listed[endpoint] {
		c.leave(r)
		r.endpoint = endpoint
		c.arrive(r)
	}
}

// arrive counts a request at its endpoint.
func (c *Core) arrive(r *request) {
	if c.cfg.CountTokens {
		r.tokens = r.InputTokens + r.OutputTokens
	}
	c.loads.add(r.endpoint, load{1, r.tokens})
}

// leave counts it there no more.
func (c *Core) leave(r *request) { c.loads.add(r.endpoint, load{-1, -r.tokens}) }

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

// stateLoads tells the ledger what changed, and all of it from time to time.
func (c *Core) stateLoads(now time.Time, s *store.Statement) {
	l := &c.loads
	if len(l.listed) == 0 && len(l.changed) == 0 {
		return
	}
	if s.Register || s.Full || now.Sub(l.stated) >= restateEvery {
		l.stated = now
		for endpoint := range l.listed {
			l.changed[endpoint] = true
		}
		for endpoint := range l.here {
			l.changed[endpoint] = true
		}
	}
	if s.WantLoads = len(l.listed) > 0 && now.Sub(l.asked) >= othersEvery; s.WantLoads {
		l.asked = now
	}
	for endpoint := range l.changed {
		here := l.here[endpoint]
		l.told[endpoint] = here
		if here.requests == 0 && !l.listed[endpoint] {
			here.requests = store.Gone
		}
		s.Loads = append(s.Loads, store.Load{Endpoint: endpoint, InFlight: here.requests, Tokens: here.tokens})
	}
	slices.SortFunc(s.Loads, func(a, b store.Load) int { return strings.Compare(a.Endpoint, b.Endpoint) })
}

// learnLoads takes in what the ledger answered.
func (c *Core) learnLoads(s *store.Statement, reply *store.Reply) {
	l := &c.loads
	for i := range s.Loads {
		stated := &s.Loads[i]
		if (l.here[stated.Endpoint] == load{max(0, stated.InFlight), stated.Tokens}) {
			delete(l.changed, stated.Endpoint)
		}
		if stated.InFlight == store.Gone {
			delete(l.told, stated.Endpoint)
		}
	}
	if !s.WantLoads {
		return
	}
	unread := make(map[string]int64) // grants to this replica, counted where the ledger suggests
	for i := range reply.Messages {
		if m := &reply.Messages[i]; m.Kind&store.Granted != 0 {
			unread[m.Endpoint]++
		}
	}
	l.others = make([]store.Load, 0, len(reply.Loads))
	for _, total := range reply.Loads {
		told := l.told[total.Endpoint]
		total.InFlight = max(0, total.InFlight-told.requests-unread[total.Endpoint])
		total.Tokens = max(0, total.Tokens-told.tokens)
		l.others = append(l.others, total)
	}
}
