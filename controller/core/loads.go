package core

import (
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/store"
)

// loads counts requests at the endpoints: this replica's, which it states, and those of
// the others, which it learns from the ledger. A granted request counts at the endpoint
// that the ledger suggests until its ingress states where it went.
//
// Where endpoints are bounded, the ledger grants for one that has room, and this replica
// sends a request elsewhere, or lets one go by itself, only by a permit there. Invariant, as
// of the float: requests in flight at an endpoint + permits <= what the ledger counts there
// for this replica, as long as its lease is young, but for requests that had to go there.
type loads struct {
	bystander
	cfg    *Config
	agenda *agenda
	// spends reports whether permits may be spent, and wants is how many are of use.
	spends func(now time.Time) bool
	wants  func(now time.Time) int64

	listed   map[string]int64 // the pool's endpoints by what they take, 0 for no limit, if they are counted
	told     map[string]int64 // what the endpoints take that any replica lists, as last learnt
	before   map[string]int64 // what those take that come before each by their addresses; nil until it is asked for
	outdated bool             // told is, as the last reply says
	bounded  bool             // they have limits
	scarce   bool             // a replica waits for a slot at one, as last learnt
	counted  map[string]int64 // the least that the ledger counts for this replica at each
	share    map[string]int64 // how many permits may be kept at each: what the ledger last gave
	nearby   map[string]int64 // requests of the others at each, as last learnt
	here     map[string]load  // this replica's requests at each
	excess   excess           // of what is at each over what it takes
	sent     map[string]int   // to those listed, when this replica last sent a request there, by how many it had sent
	sends    int              // so many it has sent
	changed  map[string]bool  // since they were stated
	carried  map[string]bool  // stated by the turn under way
	returned map[string]int64 // slots that were free at each, and counted, until that was stated
	answered map[string]load  // what the ledger counts in its totals
	stated   time.Time        // when all were last stated
	asked    time.Time        // when the others' were last asked for
	others   []store.Load     // to be handed out, nil if they are not new
}

// load is how many requests there are, what they are expected to cost, and how many of them went without
// the ledger.
type load struct{ requests, tokens, alone int64 }

// loadOf is what one request adds to a load.
func loadOf(r *request) load {
	one := load{requests: 1, tokens: r.tokens}
	if r.alone {
		one.alone = 1
	}
	return one
}

// plus is the sum of two, or their difference.
func (l load) plus(other load, sign int64) load {
	return load{l.requests + sign*other.requests, l.tokens + sign*other.tokens, l.alone + sign*other.alone}
}

func newLoads(cfg *Config, a *agenda) loads {
	return loads{
		cfg: cfg, agenda: a,
		listed: map[string]int64{}, told: map[string]int64{}, counted: map[string]int64{}, share: map[string]int64{},
		nearby: map[string]int64{}, here: map[string]load{}, sent: map[string]int{}, excess: newExcess(), answered: map[string]load{},
		changed: map[string]bool{}, carried: map[string]bool{}, returned: map[string]int64{},
	}
}

// Endpoint is a model server that requests may go to.
type Endpoint struct {
	Address string
	// Capacity is how many of the fleet's requests may be in flight there; 0 for no limit.
	Capacity int64
}

// Counted says how requests at endpoints are counted.
type Counted int

// How they are.
const (
	// NotCounted: they are not.
	NotCounted Counted = iota
	// ForChoice: so that the one with the least can be chosen.
	ForChoice
	// Bounded: none may have more than it takes.
	Bounded
)

// list says which endpoints a request may go to, and returns how requests there are counted.
// At one endpoint without a limit they are not, unless tokens are.
func (l *loads) list(endpoints []Endpoint) Counted {
	listed := make(map[string]int64, len(endpoints))
	bounded := slices.ContainsFunc(endpoints, func(e Endpoint) bool { return e.Capacity > 0 })
	if len(endpoints) > 1 || l.cfg.CountTokens || bounded {
		for _, e := range endpoints {
			listed[e.Address] = e.Capacity
		}
	}
	if !maps.Equal(listed, l.listed) {
		for _, list := range []map[string]int64{listed, l.listed} {
			for address := range list {
				before, was := l.listed[address]
				if now, is := listed[address]; now != before || is != was {
					l.changed[address] = true
				}
			}
		}
		l.listed, l.before, l.agenda.due = listed, nil, true
		maps.DeleteFunc(l.sent, func(address string, _ int) bool { _, is := listed[address]; return !is })
	}
	if len(endpoints) > 0 { // else what it has in flight is at endpoints as they were
		l.bounded = bounded
	}
	switch {
	case bounded:
		return Bounded
	case len(listed) > 0:
		return ForChoice
	}
	return NotCounted
}

// dealt is what an endpoint takes, and what those do that come before it: by that replicas without
// the ledger deal its slots. It goes by what the ledger last told, so that replicas that list other
// endpoints, or state other limits, deal alike. One that it did not tell of came since, and is not listed by
// all at the same time: it is dealt by its address alone, and moves no other.
func (l *loads) dealt(endpoint string) (takes, before int64) {
	all := l.told
	if len(all) == 0 { // it never told of any
		all = l.listed
	}
	if l.before == nil {
		l.before = make(map[string]int64, len(all))
		sum := int64(0)
		for _, address := range slices.Sorted(maps.Keys(all)) {
			l.before[address] = sum
			sum += all[address]
		}
	}
	takes = l.listed[endpoint]
	told, known := all[endpoint]
	if !known {
		h := fnv.New32a()
		_, _ = h.Write([]byte(endpoint))
		return takes, int64(h.Sum32())
	}
	return min(takes, told), l.before[endpoint]
}

// preferred returns an endpoint that a request prefers if that counts: where the ledger
// grants for endpoints with limits. Elsewhere its ingress chooses freely.
func (l *loads) preferred(endpoint string) string {
	if _, listed := l.listed[endpoint]; !listed || !l.bounded {
		return ""
	}
	return endpoint
}

// load is how many requests there are at an endpoint, as far as is known.
func (l *loads) load(endpoint string) int64 { return l.nearby[endpoint] + l.here[endpoint].requests }

// outOfUse is how many of this replica's requests are at endpoints that get no more. The
// limit has nothing of these.
func (l *loads) outOfUse() (sum int64) {
	for endpoint, here := range l.here {
		if _, listed := l.listed[endpoint]; l.bounded && !listed {
			sum += here.requests
		}
	}
	return sum
}

// arrive counts a request at an endpoint, if it is named.
func (l *loads) arrive(r *request, endpoint string) {
	r.endpoint = endpoint
	if l.cfg.CountTokens {
		r.tokens = r.InputTokens + r.OutputTokens
	}
	if _, listed := l.listed[endpoint]; listed {
		l.sends++
		l.sent[endpoint] = l.sends
	}
	l.add(endpoint, loadOf(r), 1)
}

// depart ends counting it there.
func (l *loads) depart(r *request) {
	l.add(r.endpoint, loadOf(r), -1)
	l.giveUp(r.endpoint)
}

// move counts a request where it went; an endpoint that is not counted is ignored.
func (l *loads) move(r *request, endpoint string) {
	if _, listed := l.listed[endpoint]; listed && r.endpoint != endpoint {
		l.depart(r)
		l.arrive(r, endpoint)
	}
}

// correct states an endpoint's load again: the ledger counts a grant there that was
// returned.
func (l *loads) correct(endpoint string) { l.add(endpoint, load{}, 1) }

func (l *loads) add(endpoint string, delta load, sign int64) {
	if endpoint == "" {
		return
	}
	now := l.here[endpoint].plus(delta, sign)
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
	l.returnPermits(now, s)
	clear(l.returned)
	l.excess.stated()
	if len(l.listed)+len(l.here)+len(l.changed) == 0 && !l.outdated {
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
	want := int64(0)
	if l.bounded {
		want = l.wants(now)
	}
	if s.WantLoads = l.asks(now); s.WantLoads {
		l.asked = now
	}
	l.changed, l.carried = l.carried, l.changed
	for endpoint := range l.carried {
		here := l.here[endpoint]
		l.answered[endpoint] = here
		st := store.Load{Endpoint: endpoint, InFlight: here.requests, Tokens: here.tokens}
		capacity, listed := l.listed[endpoint]
		switch {
		case here.requests == 0 && !listed:
			st.InFlight = store.Gone
			delete(l.counted, endpoint)
			delete(l.share, endpoint)
		case l.bounded && !listed:
			st.Capacity, l.counted[endpoint] = store.Closed, here.requests
		case l.bounded:
			st.Capacity, st.Wanted = capacity, want
			if l.spends(now) {
				st.Permits = min(l.permits(endpoint), want, l.share[endpoint])
			}
			l.returned[endpoint] = l.permits(endpoint) - st.Permits
			l.counted[endpoint] = here.requests + st.Permits
		default:
			delete(l.counted, endpoint)
		}
		s.Loads = append(s.Loads, st)
	}
	slices.SortFunc(s.Loads, func(a, b store.Load) int { return strings.Compare(a.Endpoint, b.Endpoint) })
}

// asks reports whether the ledger is to be asked for the others' loads. Where there is no choice of
// endpoints it is asked for those that others have, which matter once it is lost.
func (l *loads) asks(now time.Time) bool {
	every := l.cfg.Timings.LoadsEvery
	switch {
	case len(l.listed) > 1, l.cfg.CountTokens, l.outdated:
	case l.bounded:
		every = l.cfg.Timings.RepeatEvery
	default:
		return false
	}
	return now.Sub(l.asked) >= every
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
	l.scarce = len(r.Short) > 0
	l.given(s, r)
	for i := range s.Loads {
		if stated := &s.Loads[i]; stated.InFlight == store.Gone {
			delete(l.answered, stated.Endpoint)
		}
	}
	defer l.compare(r)
	if !s.WantLoads {
		return
	}
	unread := make(map[string]int64)
	for i := range r.Messages {
		if m := &r.Messages[i]; m.Kind&store.Granted != 0 {
			unread[m.Endpoint]++
		}
	}
	if l.bounded {
		l.excess.learn(r.Loads, func(endpoint string) (all, alone int64) {
			return l.answered[endpoint].requests + unread[endpoint], l.answered[endpoint].alone
		})
	}
	l.others = make([]store.Load, 0, len(r.Loads))
	clear(l.nearby)
	clear(l.told)
	l.before = nil
	for _, total := range r.Loads {
		if l.bounded && total.Capacity > 0 {
			l.told[total.Endpoint] = total.Capacity
		}
		ours := l.answered[total.Endpoint]
		total.InFlight = max(0, total.InFlight-ours.requests-unread[total.Endpoint])
		total.Tokens = max(0, total.Tokens-ours.tokens)
		l.others = append(l.others, total)
		l.nearby[total.Endpoint] = total.InFlight
	}
}

// compare notes whether the endpoints take what the ledger last told: else one came or went, or takes
// something else.
func (l *loads) compare(r *store.Reply) {
	sum := int64(0)
	for _, takes := range l.told {
		sum += takes
	}
	l.outdated = l.bounded && sum != r.Capacity
}

// lost forgets the others' loads: they are not known in an outage.
func (l *loads) lost(time.Time) {
	l.others, l.scarce = []store.Load{}, false
	clear(l.nearby)
}
