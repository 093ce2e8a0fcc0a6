package simulation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/policies/usagelimit"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// node is one replica.
type node struct {
	fleet       *fleet
	index       int
	id          string
	core        *core.Core
	incarnation uint64
	seq         uint64
	ended       uint64 // the run whose process ended last
	alive       bool
	ledgerCut   bool          // it cannot reach the ledger
	offset      time.Duration // its clock is wrong by this
	drift       float64       // and by this part of the time that passed
	paused      bool
	deferred    []func() // what happened to it meanwhile
	tick        time.Time
	wakeups     <-chan store.Wakeup
	stopWakeups context.CancelFunc
	registered  bool              // a turn that registered was answered
	holders     map[string]uint64 // the runs that the ledger said have held a lease
	streams     map[int]bool      // whether they are up, as it last learnt
	view        map[int]bool      // who lives, as it last learnt from gossip
	waiting     map[uint64]waitingSince
	others      map[string]int64 // requests of other replicas at each endpoint, as it last learnt
	reach       []string         // the endpoints that it reaches
}

type waitingSince struct {
	at   time.Time
	flow policies.FlowKey
}

// now is the node's own clock.
func (n *node) now() time.Time {
	f := n.fleet
	passed := f.now.Sub(f.began)
	return f.now.Add(n.offset + time.Duration(float64(passed)*n.drift))
}

func (f *fleet) config(n *node) core.Config {
	static, err := usagelimit.NewStatic(usagelimit.StaticType, 1)
	if err != nil {
		panic(err)
	}
	weights, limits := make(map[string]float64), make(map[string]shard.Limit)
	for _, flow := range f.cfg.Flows {
		weights[flow.ID], limits[flow.ID] = flow.Weight, shard.Limit{MaxInFlight: flow.Most}
	}
	timings := core.DefaultTimings(lease)
	timings.FloatLeast = 0 // requests are short here
	timings.FullPause, timings.PeerTimeout = f.cfg.FullPause, peerTimeout
	return core.Config{
		Replica: n.id, Incarnation: n.incarnation, Seed: f.cfg.Seed + uint64(n.index),
		Shard: shard.Config{
			Shards: f.cfg.Shards, OffersPerBand: 32, Idle: time.Minute, Groups: f.cfg.groupsOf(), Maxima: f.cfg.Maxima, Guaranteed: f.cfg.Floors,
			Limit:  func(id string) shard.Limit { return limits[id] },
			Weight: func(k policies.FlowKey) float64 { return cmp.Or(weights[k.ID], 1) },
			Band: func(int) shard.BandConfig {
				return shard.BandConfig{
					MaxRequests: 50000, MaxBytes: 1e9,
					Fairness: fairness.NewRoundRobin(fairness.RoundRobinType), Ordering: ordering.NewFCFS(ordering.FCFSType),
				}
			},
		},
		UsageLimit: static, Guaranteed: func(priority int) float64 { return f.cfg.Guaranteed[priority] }, TTL: time.Minute, NoEndpointTTL: time.Minute,
		Timings: timings, InFleet: !f.cfg.Apart, CountTokens: f.cfg.Tokens,
	}
}

// start brings a replica up.
func (n *node) start() {
	f := n.fleet
	n.incarnation = uint64(f.now.UnixNano())
	n.seq = n.incarnation
	n.core = core.New(f.config(n))
	n.alive, n.paused, n.tick = true, false, time.Time{}
	n.streams, n.view, n.waiting = make(map[int]bool), make(map[int]bool), make(map[uint64]waitingSince)
	n.others = make(map[string]int64)
	n.reaches(n.reach)
	n.listen()
	n.registered, n.holders = false, make(map[string]uint64)
	if !f.cfg.Apart {
		n.ask()
		f.gossip(n.index, true)
	}
	n.pump()
}

// endpoints are the model servers.
var endpoints = []string{"x", "y", "z"}

// takes is how many requests an endpoint takes, if they are bounded.
func (c *Config) takes(endpoint string) int64 {
	n, i := int64(len(endpoints)), int64(slices.Index(endpoints, endpoint))
	takes := c.Limit / n
	if i < c.Limit%n {
		takes++
	}
	return takes
}

// reaches takes in which endpoints the replica reaches from now on.
func (n *node) reaches(some []string) {
	c := &n.fleet.cfg
	n.reach = some
	limit := c.Limit
	var list []core.Endpoint
	if c.Bounded {
		limit = 0
	}
	for _, e := range some {
		switch {
		case n.fleet.drained[e]:
			continue
		case !c.Bounded:
			list = append(list, core.Endpoint{Address: e})
			continue
		}
		list = append(list, core.Endpoint{Address: e, Capacity: c.takes(e)})
		limit += c.takes(e)
	}
	n.core.SetPool(n.now(), core.Pool{Endpoints: len(list), Limit: limit})
	n.core.SetEndpoints(list)
}

// favourite is the endpoint that many requests of the replica prefer.
func (n *node) favourite() string { return n.reach[0] }

// place sends a dispatched request to an endpoint: mostly to the one that it was granted for,
// or to the one with the least load as far as is known here.
func (n *node) place(seq uint64, d *core.Decision) string {
	to := d.Endpoint
	if n.fleet.cfg.Bounded {
		if favourite := n.favourite(); !d.Preferred && n.fleet.rng.IntN(2) == 0 && n.core.MayPlace(n.now(), seq, favourite) {
			return favourite
		}
		return to
	}
	if to == "" {
		to = n.least()
	}
	if n.fleet.rng.IntN(20) == 0 {
		to = endpoints[n.fleet.rng.IntN(len(endpoints))]
	}
	n.core.Place(seq, to)
	return to
}

// least is the endpoint with the least load: this replica's own, and the others' as last
// learnt.
func (n *node) least() (least string) {
	loads := maps.Clone(n.others)
	for id, e := range n.fleet.flights {
		if id.Ingress == n.id {
			loads[e.endpoint]++
		}
	}
	for _, e := range endpoints {
		if least == "" || loads[e] < loads[least] {
			least = e
		}
	}
	return least
}

// listen asks the ledger for wake-ups.
func (n *node) listen() {
	var ctx context.Context
	ctx, n.stopWakeups = context.WithCancel(context.Background())
	n.wakeups = n.fleet.ledger.Wakeups(ctx, n.id)
}

// crash kills a replica: its connections end with it.
func (n *node) crash() {
	if !n.alive {
		return
	}
	f := n.fleet
	n.alive, n.ended = false, n.incarnation
	n.deferred = nil
	n.stopWakeups()
	for id := range f.flights {
		if id.Ingress == n.id {
			delete(f.flights, id)
		}
	}
	for _, flow := range f.cfg.Flows {
		for _, at := range flow.Replicas {
			for range flow.Clients {
				if at == n.index {
					f.after(100*time.Millisecond, "", func() { f.client(flow, n) })
				}
			}
		}
	}
	f.gossip(n.index, false)
}

// pause stops a replica for a while: what happens to it meanwhile comes after.
func (n *node) pause(d time.Duration) {
	f, k := n.fleet, n.core
	n.paused = true
	f.after(d, "resume "+n.id, func() {
		if n.core != k || !n.alive {
			return
		}
		n.paused = false
		deferred := n.deferred
		n.deferred = nil
		for _, do := range deferred {
			do()
		}
		n.pump()
	})
}

// do makes something happen at a replica, later if it is paused.
func (n *node) do(k *core.Core, what func()) {
	switch {
	case n.core != k || !n.alive:
	case n.paused:
		n.deferred = append(n.deferred, func() {
			if n.core == k && n.alive {
				what()
			}
		})
	default:
		what()
	}
}

// pump carries out what the core asks for.
func (n *node) pump() {
	f := n.fleet
	if !n.alive || n.paused {
		return
	}
	n.core.Tick(n.now())
	ready := n.core.Ready(n.now())
	decisions := append([]core.Decision(nil), ready.Decisions...)
	if ready.Loads != nil {
		clear(n.others)
		for _, l := range ready.Loads {
			n.others[l.Endpoint] = l.InFlight
		}
	}
	if ready.Turn != nil {
		n.takeTurn(ready.Turn)
	}
	for i := range ready.Messages {
		f.send(n, ready.Messages[i])
	}
	for _, m := range ready.Moves {
		f.moved(m)
	}
	for _, d := range decisions {
		d.Tag.(func(core.Decision))(d)
	}
	if n.tick.IsZero() || ready.Next.Before(n.tick) || !n.tick.After(n.now()) {
		n.tick = ready.Next
		k, at := n.core, ready.Next
		f.after(max(0, at.Sub(n.now())), "", func() {
			n.do(k, func() {
				if n.tick.Equal(at) {
					n.tick = time.Time{}
					n.pump()
				}
			})
		})
	}
}

const lease = 3 * time.Second

const peerTimeout = 500 * time.Millisecond

var errLost = errors.New("lost on the way")

// takeTurn takes a statement to the ledger and its reply back, unless either is
// lost.
func (n *node) takeTurn(s *store.Statement) {
	f, k := n.fleet, n.core
	f.turns++
	done := func(reply *store.Reply, err error) {
		registers := s.Register
		n.do(k, func() {
			k.TurnDone(n.now(), reply, err)
			n.registered = n.registered || err == nil && registers && reply.Status == store.OK
			n.pump()
		})
	}
	lost := func() { f.after(50*time.Millisecond, "", func() { done(nil, errLost) }) }
	requestLost, replyLost := f.rng.Float64() < f.cfg.Loss, f.rng.Float64() < f.cfg.Loss
	arrives := f.now.Add(50*time.Microsecond + f.upTo(200*time.Microsecond) + f.cfg.RoundTrip/2)
	if f.busy = f.busy.Add(f.cfg.TurnCost); f.busy.Before(arrives) {
		f.busy = arrives
	}
	f.after(f.busy.Sub(f.now), "", func() {
		if requestLost || f.down || n.ledgerCut || !n.alive || n.core != k {
			lost()
			return
		}
		if f.cfg.Break.Statement != nil {
			f.cfg.Break.Statement(s)
		}
		f.record(s)
		reply, err := f.ledger.Turn(context.Background(), s)
		f.wake()
		if err != nil || replyLost {
			lost()
			return
		}
		if f.cfg.Break.Reply != nil {
			f.cfg.Break.Reply(reply)
		}
		f.after(50*time.Microsecond+f.cfg.RoundTrip/2, "", func() { done(reply, nil) })
	})
}

// wake passes the ledger's wake-ups on, a few of them lost.
func (f *fleet) wake() {
	for _, n := range f.nodes {
		if !n.alive {
			continue
		}
		for pending := true; pending; {
			select {
			case w := <-n.wakeups:
				n.wake(w)
			default:
				pending = false
			}
		}
	}
}

// wake passes one on, sometimes late.
func (n *node) wake(w store.Wakeup) {
	f := n.fleet
	if f.rng.Float64() < f.cfg.Loss || n.ledgerCut || f.down {
		return
	}
	late := 100*time.Microsecond + f.cfg.RoundTrip/2
	if f.rng.IntN(20) == 0 {
		late = time.Duration(f.rng.Int64N(int64(5 * time.Second)))
	}
	k := n.core
	f.after(late, "", func() {
		n.do(k, func() {
			k.Wake(n.now(), &w)
			n.pump()
		})
	})
}

// members gives a replica's core the members that gossip has there.
func (n *node) members() {
	m := coordinator.Members{Live: []coordinator.Member{{ID: n.id, Incarnation: n.incarnation, Leaseholder: n.holders[n.id] == n.incarnation}}}
	for _, other := range n.fleet.nodes {
		if other == n {
			continue
		}
		if live, known := n.view[other.index]; live {
			m.Live = append(m.Live, coordinator.Member{
				ID: other.id, Incarnation: other.incarnation, Leaseholder: n.holders[other.id] == other.incarnation,
			})
		} else if known {
			m.Dead = append(m.Dead, other.id)
			if other.ended > 0 && !n.fleet.cut[link{n.index, other.index}] { // the stream broke, and nobody listens
				m.Ended = append(m.Ended, coordinator.Run{ID: other.id, Incarnation: other.ended})
			}
		}
	}
	for i := range n.fleet.strangers {
		m.Live = append(m.Live, coordinator.Member{ID: fmt.Sprint("stranger-", i), Incarnation: 1})
	}
	n.core.SetMembers(n.now(), m)
	n.pump()
}

// askEvery is how often a replica asks the ledger who has held a lease.
const askEvery = 500 * time.Millisecond

// ask asks the ledger who has held a lease, again and again, and has this replica's noted.
func (n *node) ask() {
	f, k := n.fleet, n.core
	f.after(askEvery, "", func() {
		n.do(k, func() {
			n.ask()
			if f.down || n.ledgerCut {
				return
			}
			if n.registered {
				f.holders[n.id] = n.incarnation
			}
			known := maps.Clone(n.holders)
			maps.Copy(known, f.holders)
			if !maps.Equal(known, n.holders) {
				n.holders = known
				n.members()
			}
		})
	})
}

func nodeID(i int) string { return fmt.Sprintf("r%02d", i) }
