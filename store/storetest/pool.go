package storetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// The time between turns of the pools that Shares plays, and the longest request.
const (
	beat    = 50 * time.Millisecond
	longest = time.Second
)

// Shares draws a pool whose bands share by weights, or go strictly by their priority, some of
// which are guaranteed a part of it, as are groups; plays requests of random lengths there, of
// clients that come and go; and checks after every turn that no slot is free while anyone waits,
// and over every interval what docs/shares.md promises of guarantees and of weights above them.
// In some pools replicas reach a part of the endpoints at first: weights hold from when they
// reach all. The ledger is empty.
func Shares(t *rapid.T, ledger store.Ledger, clock *Clock) {
	p := drawPool(t, ledger, clock)
	apart := 0
	if len(p.endpoints) > 0 {
		apart = rapid.IntRange(0, 200).Draw(t, "beats in which they reach a part")
	}
	for range apart {
		if p.rng(20) == 0 {
			p.drawReach()
		}
		p.beat()
	}
	p.reachAll()
	clear(p.lacked)
	clear(p.leading)
	for range 200 {
		p.beat()
		p.checkConserving()
		if apart == 0 { // what was kept from the endpoints is owed first
			p.checkGuarantees()
		}
		p.checkWeights()
	}
}

// pool is the fleet and the load that Shares plays.
type pool struct {
	t         *rapid.T
	clock     *Clock
	rng       func(n int) int
	slots     int64
	weights   []float64 // by band
	parts     map[string]float64
	endpoints map[string]int64 // capacities; none where the limit is of the pool alone
	replicas  []*host
	clients   []*client
	of        map[policies.TicketID]*client

	lacked  map[string]float64 // by class, in slot-seconds
	leading map[[2]int]float64 // by bands, what the first had for its weight more than the second
}

// host is a replica, and what runs by it.
type host struct {
	*party
	reaches []string
	running []run
}

// run is a request in flight.
type run struct {
	*client
	endpoint string
	ends     time.Time
}

// client keeps requests of one flow waiting, or does not for a while.
type client struct {
	at       *host
	band     int // its place among all
	group    string
	flow     string
	comes    bool // and goes
	wants    bool
	standing int
}

var bandsOfPool = []int{10, 0, -10}

func drawPool(t *rapid.T, ledger store.Ledger, clock *Clock) *pool {
	p := &pool{
		t: t, clock: clock, parts: map[string]float64{}, of: map[policies.TicketID]*client{},
		lacked: map[string]float64{}, leading: map[[2]int]float64{},
	}
	p.rng = randomOf(rapid.Uint64().Draw(t, "seed"))
	p.slots = int64(rapid.IntRange(1, 8).Draw(t, "slots"))
	strict := rapid.IntRange(0, 4).Draw(t, "strict") == 0
	for range bandsOfPool {
		weight := 0.0
		if !strict {
			weight = rapid.SampledFrom([]float64{0.1, 1, 2, 3, 10}).Draw(t, "weight")
		}
		p.weights = append(p.weights, weight)
	}
	left := 1.0
	for _, class := range []string{"10", "0", "-10", "a", "b"} {
		p.parts[class] = min(left, rapid.SampledFrom([]float64{0, 0, 0.02, 0.1, 0.3, 0.5}).Draw(t, "part of "+class))
		left -= p.parts[class]
	}
	p.parts["a/x"] = p.parts["a"] * rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "part of a/x")
	if p.slots > 1 && rapid.Bool().Draw(t, "by endpoint") {
		at := int64(rapid.IntRange(1, int(p.slots-1)).Draw(t, "at the first"))
		p.endpoints = map[string]int64{"x": at, "y": p.slots - at}
	}
	n := rapid.IntRange(1, 3).Draw(t, "replicas")
	for i := range n {
		h := &host{party: newParty(t, ledger, fmt.Sprint("r", i))}
		h.members = n
		for b, priority := range bandsOfPool {
			h.bands = append(h.bands, weighed(priority, p.slots, p.weights[b]))
		}
		p.replicas = append(p.replicas, h)
	}
	for b := range bandsOfPool {
		p.add(b, "", false)
		for range rapid.IntRange(0, 2).Draw(t, "more clients") {
			p.add(b, rapid.SampledFrom([]string{"", "a", "a/x", "b"}).Draw(t, "group"), rapid.Bool().Draw(t, "comes and goes"))
		}
	}
	p.reachAll()
	for range 2 { // all have registered before anyone waits
		for _, h := range p.replicas {
			p.turn(h, 0)
		}
	}
	return p
}

func (p *pool) add(band int, group string, comes bool) {
	at := p.replicas[p.rng(len(p.replicas))]
	p.clients = append(p.clients, &client{at: at, band: band, group: group, flow: fmt.Sprint("c", len(p.clients)), comes: comes, wants: true})
}

// drawReach has each replica reach some of the endpoints.
func (p *pool) drawReach() {
	for _, h := range p.replicas {
		h.reaches = nil
		for endpoint := range p.endpoints {
			if p.rng(2) == 0 {
				h.reaches = append(h.reaches, endpoint)
			}
		}
	}
}

func (p *pool) reachAll() {
	for _, h := range p.replicas {
		h.reaches = nil
		for endpoint := range p.endpoints {
			h.reaches = append(h.reaches, endpoint)
		}
	}
}

// beat lets time pass: what has run for long enough ends, clients offer more, and every replica
// learns what it was granted.
func (p *pool) beat() {
	p.clock.Advance(beat)
	p.account()
	for _, c := range p.clients {
		if c.comes && p.rng(60) == 0 {
			c.wants = !c.wants
		}
	}
	for range 2 {
		first := p.rng(len(p.replicas))
		for i := range p.replicas {
			p.turn(p.replicas[(first+i)%len(p.replicas)], int(p.slots)+1)
		}
	}
}

// turn takes a turn of a replica whose clients keep so many offers standing.
func (p *pool) turn(h *host, standing int) {
	now := p.clock.Now()
	h.running = slices.DeleteFunc(h.running, func(r run) bool {
		if r.ends.After(now) {
			return false
		}
		h.bands[r.band].InFlight--
		return true
	})
	reply := h.turn(func(s *store.Statement) {
		s.Longest = longest
		p.stateCapacity(h, s)
		p.stateGroups(h, s)
		for _, c := range p.clients {
			for c.at == h && c.wants && c.standing < standing {
				c.standing++
				ticket := policies.TicketID{Ingress: h.id, Seq: uint64(len(p.of) + 1)}
				p.of[ticket] = c
				s.Offers = append(s.Offers, store.Offer{
					Ticket: ticket, Flow: c.flow, Priority: bandsOfPool[c.band], Group: c.group, Charge: 1, Score: float64(ticket.Seq),
				})
			}
		}
	})
	for _, m := range reply.Messages {
		c := p.of[m.Ticket]
		if m.Kind&store.Granted == 0 {
			p.t.Fatalf("%v of an offer whose replica has a lease", m.Kind)
		}
		c.standing--
		h.running = append(h.running, run{c, m.Endpoint, now.Add(beat * time.Duration(1+p.rng(int(longest/beat))))})
	}
}

// stateCapacity states the limits and guarantees of bands, and what is at the endpoints.
func (p *pool) stateCapacity(h *host, s *store.Statement) {
	limit := p.slots
	if len(p.endpoints) > 0 {
		limit = 0
		for _, endpoint := range []string{"x", "y"} {
			load := store.Load{Endpoint: endpoint, Capacity: store.Closed}
			if slices.Contains(h.reaches, endpoint) {
				load.Capacity = p.endpoints[endpoint]
				limit += load.Capacity
			}
			for _, r := range h.running {
				if r.endpoint == endpoint {
					load.InFlight++
				}
			}
			s.Loads = append(s.Loads, load)
		}
		s.Capacity = limit
	}
	for i := range s.Bands {
		s.Bands[i].Limit, s.Bands[i].Guaranteed = limit, p.parts[fmt.Sprint(s.Bands[i].Priority)]*float64(limit)
		if limit == 0 {
			s.Bands[i].Limit, s.Bands[i].Guaranteed = store.NoOpinion, 0
		}
	}
}

// stateGroups states what groups are guaranteed, and have in flight.
func (p *pool) stateGroups(h *host, s *store.Statement) {
	for _, path := range []string{"a", "a/x", "b"} {
		limited := store.Limited{Group: path, Guaranteed: p.parts[path] * float64(s.Bands[0].Limit)}
		if s.Bands[0].Limit == store.NoOpinion {
			limited.Guaranteed = store.NoOpinion
		}
		for _, r := range h.running {
			if r.isOf(path) {
				limited.InFlight++
			}
		}
		s.Limited = append(s.Limited, limited)
	}
}

// isOf reports whether a client is of a class: a priority, or a group or one in it.
func (c *client) isOf(class string) bool {
	return class == fmt.Sprint(bandsOfPool[c.band]) || c.group == class || strings.HasPrefix(c.group, class+"/")
}

// has is how many requests of a class are in flight, and whether more wait.
func (p *pool) has(class string) (inFlight int, waits bool) {
	for _, h := range p.replicas {
		for _, r := range h.running {
			if r.isOf(class) {
				inFlight++
			}
		}
	}
	return inFlight, slices.ContainsFunc(p.clients, func(c *client) bool { return c.standing > 0 && c.isOf(class) })
}

// account adds up what classes lack of their guarantees, and bands lead by, over the interval
// in which that is most, for the beat that has passed.
func (p *pool) account() {
	seconds := beat.Seconds()
	for class, part := range p.parts {
		has, waits := p.has(class)
		if p.lacked[class] = max(0, p.lacked[class]+(part*float64(p.slots)-float64(has))*seconds); !waits {
			p.lacked[class] = 0
		}
	}
	for a, weight := range p.weights {
		for b, other := range p.weights {
			hasA, waitsA := p.has(fmt.Sprint(bandsOfPool[a]))
			hasB, waitsB := p.has(fmt.Sprint(bandsOfPool[b]))
			if weight == 0 {
				continue // strict
			}
			by := p.leading[[2]int{a, b}] + (float64(hasA)/weight-float64(hasB)/other)*seconds
			if !waitsA || !waitsB || p.isFloored(a) {
				by = 0 // by its guarantee it may lead
			}
			p.leading[[2]int{a, b}] = max(0, by)
		}
	}
}

// isFloored reports whether a band may have more than its weight says: it is guaranteed something,
// or something that waits in it, or runs, is.
func (p *pool) isFloored(band int) bool {
	if p.parts[fmt.Sprint(bandsOfPool[band])] > 0 {
		return true
	}
	return slices.ContainsFunc(p.clients, func(c *client) bool {
		return c.band == band && c.group != "" && (p.parts[c.group] > 0 || p.parts[c.group[:1]] > 0)
	})
}

// checkConserving: no slot is free while anyone waits.
func (p *pool) checkConserving() {
	running, waiting := 0, 0
	for _, h := range p.replicas {
		running += len(h.running)
	}
	for _, c := range p.clients {
		waiting += c.standing
	}
	if running > int(p.slots) || running < int(p.slots) && waiting > 0 {
		p.t.Fatalf("%d of %d slots are taken, and %d wait", running, p.slots, waiting)
	}
}

// checkGuarantees: a class that waits has its guarantee, less one request of its own, and less
// what it lacks while requests end that ran when it came, and those that others were due.
func (p *pool) checkGuarantees() {
	several := 0.0 // classes that are guaranteed something
	for _, part := range p.parts {
		several += math.Ceil(part)
	}
	for class, lacks := range p.lacked {
		slots := p.parts[class] * float64(p.slots)
		if bound := longest.Seconds() * (1 + several*slots); lacks > bound+1e-6 {
			p.t.Fatalf("%s lacks %.2f slot-seconds of its %.2f slots, and may lack %.2f", class, lacks, slots, bound)
		}
	}
}

// checkWeights: of two bands that wait neither leads by more than twice the bound from when both
// were level, since an interval may begin at any time.
func (p *pool) checkWeights() {
	for pair, by := range p.leading {
		a, b := p.weights[pair[0]], p.weights[pair[1]]
		if bound := 2 * float64(p.slots) * longest.Seconds() * (1/b + 1/a); by > bound {
			p.t.Fatalf("priority %d has had %.2f slot-seconds for its weight more than priority %d, and may have %.2f", bandsOfPool[pair[0]], by, bandsOfPool[pair[1]], bound)
		}
	}
}

// randomOf returns numbers below the one asked for, of a seed.
func randomOf(seed uint64) func(n int) int { return rand.New(rand.NewPCG(seed, 0)).IntN }
