package simulation

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/eviction"
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
	forgotten   bool     // the ledger was rolled back meanwhile, and has heard nothing of it since
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
	listed      []core.Endpoint  // those of them that are in use, as it last learnt
}

type waitingSince struct {
	at     time.Time
	tenant *tenant
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
	cfg := core.Config{
		Replica: n.id, Incarnation: n.incarnation, Seed: f.cfg.Seed + uint64(n.index),
		Shard: shard.Config{
			Shards: f.cfg.Shards, OffersPerBand: 64, Idle: time.Minute, Groups: f.cfg.groupsOf(), Maxima: f.cfg.Maxima, Guaranteed: f.cfg.Floors,
			Limit:  func(id string) shard.Limit { return limits[id] },
			Weight: func(k policies.FlowKey) float64 { return cmp.Or(weights[k.ID], 1) },
			Band: func(int) shard.BandConfig {
				return shard.BandConfig{
					MaxRequests: 50000, MaxBytes: 1e9,
					Fairness: f.cfg.fairness(), Ordering: ordering.NewFCFS(ordering.FCFSType),
				}
			},
		},
		UsageLimit: static, Guaranteed: func(priority int) float64 { return f.cfg.Guaranteed[priority] },
		BandWeight: func(priority int) float64 { return f.cfg.Weights[priority] }, TTL: time.Minute, NoEndpointTTL: time.Minute,
		Timings: timings, InFleet: !f.cfg.Apart, CountTokens: f.cfg.Tokens,
	}
	if f.cfg.Hold {
		cfg.OnStoreOutage = core.Hold
	}
	if f.cfg.Evict {
		cfg.Eviction = &core.Eviction{Filter: eviction.NewSheddable(eviction.SheddableType), Order: eviction.NewPriorityThenTime(eviction.PriorityThenTimeType)}
	}
	return cfg
}

// start brings a replica up.
func (n *node) start() {
	f := n.fleet
	n.incarnation = uint64(f.now.UnixNano())
	n.seq = n.incarnation
	n.core = core.New(f.config(n))
	n.alive, n.paused, n.tick = true, false, time.Time{}
	n.streams, n.view, n.waiting = make(map[int]bool), make(map[int]bool), make(map[uint64]waitingSince)
	for _, c := range f.counts.crowds {
		c.waiting[n.index] = 0
	}
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
			f.land(id)
		}
	}
	for _, t := range f.tenants {
		for _, at := range t.flow.Replicas {
			for range t.flow.Clients {
				if at == n.index {
					f.after(100*time.Millisecond, "", func() { f.client(t, n) })
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
	next := n.core.Next(n.now())
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
	for _, seq := range ready.Revoked {
		f.revoke(policies.TicketID{Ingress: n.id, Seq: seq})
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
	if n.tick.IsZero() || next.Before(n.tick) || !n.tick.After(n.now()) {
		n.tick = next
		k, at := n.core, next
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

// roundTrip is how far the ledger is from here.
func (n *node) roundTrip() time.Duration {
	if n.index == 0 {
		return n.fleet.cfg.furthest()
	}
	return n.fleet.cfg.RoundTrip
}
