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
	listed  map[string]bool  // the pool's endpoints, if it has a choice of them
	here    map[string]int64 // this replica's requests at each
	changed map[string]bool  // since the ledger was last told
	told    map[string]int64 // what it was last told
	stated  time.Time        // when it was told all
	asked   time.Time        // when it was last asked for the others'
	others  []store.Load     // to be told of, nil if they are not new
}

func newLoads() loads {
	return loads{listed: map[string]bool{}, here: map[string]int64{}, changed: map[string]bool{}, told: map[string]int64{}}
}

// othersEvery is how often the ledger is asked for the others' loads. Each answer
// has all endpoints.
const othersEvery = 20 * time.Millisecond

// SetEndpoints says which endpoints a request may go to, by their addresses. One
// endpoint is no choice and is not counted.
func (c *Core) SetEndpoints(addresses []string) {
	l := &c.loads
	listed := make(map[string]bool, len(addresses))
	if len(addresses) > 1 {
		for _, address := range addresses {
			listed[address] = true
		}
	}
	if maps.Equal(listed, l.listed) {
		return
	}
	for _, list := range []map[string]bool{listed, l.listed} {
		for address := range list {
			if listed[address] != l.listed[address] {
				l.changed[address] = true
			}
		}
	}
	l.listed, c.turn.due = listed, true
}

// Place says to which endpoint a dispatched request went.
func (c *Core) Place(id uint64, endpoint string) {
	if r := c.inFlight[c.own(id)]; r != nil && r.endpoint != endpoint {
		c.loads.add(r.endpoint, -1)
		r.endpoint = endpoint
		c.loads.add(endpoint, 1)
	}
}

// add counts requests at an endpoint.
func (l *loads) add(endpoint string, delta int64) {
	if endpoint == "" {
		return
	}
	if l.here[endpoint] += delta; l.here[endpoint] <= 0 {
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
	if s.Register || s.Resync || now.Sub(l.stated) >= restateEvery {
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
		n := l.here[endpoint]
		if n == 0 && !l.listed[endpoint] {
			n = store.Gone
		}
		s.Loads = append(s.Loads, store.Load{Endpoint: endpoint, InFlight: n})
		l.told[endpoint] = max(0, n)
	}
	slices.SortFunc(s.Loads, func(a, b store.Load) int { return strings.Compare(a.Endpoint, b.Endpoint) })
}

// learnLoads takes in what the ledger answered.
func (c *Core) learnLoads(s *store.Statement, reply *store.Reply) {
	l := &c.loads
	for i := range s.Loads {
		endpoint := s.Loads[i].Endpoint
		if l.here[endpoint] == max(0, s.Loads[i].InFlight) {
			delete(l.changed, endpoint)
		}
		if s.Loads[i].InFlight == store.Gone {
			delete(l.told, endpoint)
		}
	}
	if !s.WantLoads {
		return
	}
	unread := make(map[string]int64) // grants to this replica, counted where the ledger suggests
	for i := range reply.Mail {
		if m := &reply.Mail[i]; m.Kind&store.Granted != 0 {
			unread[m.Endpoint]++
		}
	}
	l.others = make([]store.Load, 0, len(reply.Loads))
	for _, total := range reply.Loads {
		total.InFlight = max(0, total.InFlight-l.told[total.Endpoint]-unread[total.Endpoint])
		l.others = append(l.others, total)
	}
}
