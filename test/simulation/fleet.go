package simulation

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/policies/usagelimit"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// Config describes a run.
type Config struct {
	Seed     uint64
	Replicas int
	Limit    int64
	Length   time.Duration // of simulated time
	// Flows are always backlogged; each is fed at the replicas it names.
	Flows []Flow
	// Faults that may happen.
	Loss   float64 // the chance that a turn's request or its reply is lost
	Wipes  int     // times that the ledger forgets everything
	Outage bool    // the ledger is out of reach for a while
	Crash  bool    // a replica dies and comes back
	Cancel float64 // the chance that a client hangs up while it waits
	// Break breaks the fleet on purpose, to prove that a check can fail.
	Break func(*store.Reply)
}

// Flow is one tenant's traffic.
type Flow struct {
	ID       string
	Priority int
	Weight   float64
	Clients  int // that keep a request going, at each of its replicas
	Replicas []int
}

// fleet is a run under way.
type fleet struct {
	cfg     Config
	rng     *rand.Rand
	now     time.Time
	events  eventHeap
	order   uint64
	ledger  *memory.Ledger
	down    bool  // the ledger is out of reach
	before  int64 // requests in flight when that began
	faulty  time.Time
	nodes   []*node
	flights map[policies.TicketID]policies.FlowKey // at the model servers
	decided map[policies.TicketID]core.Outcome
	service map[policies.FlowKey]float64 // grants for their weight
	dead    int                          // replicas that are down
	peak    int
	log     []string
}

// node is one replica.
type node struct {
	fleet       *fleet
	index       int
	core        *core.Core
	incarnation uint64
	seq         uint64
	alive       bool
	tick        time.Time
	turning     bool
}

func (f *fleet) config(n *node) core.Config {
	static, err := usagelimit.NewStatic(usagelimit.StaticType, 1)
	if err != nil {
		panic(err)
	}
	weights := make(map[string]float64)
	for _, flow := range f.cfg.Flows {
		weights[flow.ID] = flow.Weight
	}
	return core.Config{
		Replica: fmt.Sprintf("r%d", n.index), Incarnation: n.incarnation, Seed: f.cfg.Seed,
		Shard: shard.Config{
			Shards: 256, OffersPerBand: 32, Idle: time.Minute,
			Weight: func(k policies.FlowKey) float64 { return weights[k.ID] },
			Band: func(int) shard.BandConfig {
				return shard.BandConfig{
					MaxRequests: 5000, MaxBytes: 1e9,
					Fairness: fairness.NewRoundRobin(fairness.RoundRobinType), Ordering: ordering.NewFCFS(ordering.FCFSType),
				}
			},
		},
		UsageLimit: static, TTL: time.Minute, NoEndpointTTL: time.Minute,
		Lease: 3 * time.Second, WaitingTurn: 25 * time.Millisecond, OutageAfter: 500 * time.Millisecond,
	}
}

// event is something that happens at a time.
type event struct {
	at    time.Time
	order uint64
	what  string
	do    func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].order < h[j].order
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// after plans an event.
func (f *fleet) after(d time.Duration, what string, do func()) {
	f.order++
	heap.Push(&f.events, event{at: f.now.Add(d), order: f.order, what: what, do: do})
}

// Run runs the simulation and returns the first invariant that was broken.
func Run(cfg Config) (*Result, error) {
	f := &fleet{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0)), now: time.Unix(1_800_000_000, 0),
		flights: make(map[policies.TicketID]policies.FlowKey), decided: make(map[policies.TicketID]core.Outcome),
		service: make(map[policies.FlowKey]float64),
	}
	f.ledger = memory.New(memory.Config{Clock: func() time.Time { return f.now }})
	for i := range cfg.Replicas {
		n := &node{fleet: f, index: i}
		f.nodes = append(f.nodes, n)
		n.start()
	}
	for _, flow := range cfg.Flows {
		for _, at := range flow.Replicas {
			for range flow.Clients {
				f.after(f.upTo(20*time.Millisecond), "client", func() { f.client(flow, f.nodes[at]) })
			}
		}
	}
	f.planFaults()
	end := f.now.Add(cfg.Length)
	for f.events.Len() > 0 {
		e := heap.Pop(&f.events).(event)
		if e.at.After(end) {
			break
		}
		f.now = e.at
		e.do()
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("seed %d, %v after the start, at %q: %w", cfg.Seed, f.now.Sub(end.Add(-cfg.Length)), e.what, err)
		}
	}
	return f.result()
}

func (f *fleet) upTo(d time.Duration) time.Duration { return time.Duration(f.rng.Int64N(int64(d))) }

// planFaults draws when faults happen: in the middle half of the run.
func (f *fleet) planFaults() {
	middle := func() time.Duration { return f.cfg.Length/4 + f.upTo(f.cfg.Length/4) }
	for range f.cfg.Wipes {
		f.after(middle(), "wipe", func() {
			f.ledger.Wipe()
			f.fault()
		})
	}
	if f.cfg.Outage {
		f.after(middle(), "outage begins", func() {
			f.down, f.before = true, int64(len(f.flights))
			f.fault()
		})
		f.after(f.cfg.Length/2+f.upTo(f.cfg.Length/8), "outage ends", func() {
			f.down = false
			f.fault()
		})
	}
	if f.cfg.Crash {
		n := f.nodes[f.rng.IntN(len(f.nodes))]
		f.after(middle(), "crash", func() {
			n.crash()
			f.dead++
			f.fault()
		})
		f.after(f.cfg.Length/2+f.upTo(f.cfg.Length/8), "restart", func() {
			n.start()
			f.dead--
			f.fault()
		})
	}
}

// fault notes that the books may be off for a while.
func (f *fleet) fault() { f.faulty = f.now }

// client keeps one request going for a flow at a replica.
func (f *fleet) client(flow Flow, n *node) {
	if !n.alive {
		f.after(100*time.Millisecond, "client retries", func() { f.client(flow, n) })
		return
	}
	n.seq++
	id := policies.TicketID{Ingress: fmt.Sprintf("r%d", n.index), Seq: n.seq}
	key := policies.FlowKey{ID: flow.ID, Priority: flow.Priority}
	k := n.core
	k.Enqueue(f.now, core.Request{
		Seq: n.seq, Flow: key, Bytes: 100, InputTokens: 10, OutputTokens: 10,
		Tag: func(d core.Decision) { f.outcome(flow, n, id, key, d) },
	})
	if f.rng.Float64() < f.cfg.Cancel {
		f.after(f.upTo(time.Second), "client hangs up", func() {
			if n.alive && n.core == k {
				k.Cancel(f.now, id.Seq, core.EvictedContextCancelled, nil)
				n.pump()
			}
		})
	}
	n.pump()
}

// outcome is called when a request's wait ended: a dispatched one runs for a
// while at a model server, then the client comes again.
func (f *fleet) outcome(flow Flow, n *node, id policies.TicketID, key policies.FlowKey, d core.Decision) {
	if before, twice := f.decided[id]; twice {
		f.fail("ticket %v was decided twice: %v, then %v", id, before, d.Outcome)
	}
	f.decided[id] = d.Outcome
	k := n.core
	again := func() {
		if n.core == k { // else its replica died, and the client came again then
			f.client(flow, n)
		}
	}
	if d.Outcome != core.Dispatched {
		f.after(f.upTo(10*time.Millisecond), "client comes again", again)
		return
	}
	f.flights[id] = key
	f.service[key] += 1 / flow.Weight
	f.after(20*time.Millisecond+f.upTo(60*time.Millisecond), "request ends", func() {
		if _, running := f.flights[id]; !running {
			return // its replica died, and its connection with it
		}
		delete(f.flights, id)
		k.Complete(f.now, id.Seq, core.Usage{})
		n.pump()
		f.after(f.upTo(2*time.Millisecond), "client comes again", again)
	})
}

func (f *fleet) fail(format string, args ...any) { f.log = append(f.log, fmt.Sprintf(format, args...)) }

// start brings a replica up.
func (n *node) start() {
	f := n.fleet
	n.incarnation = uint64(f.now.UnixNano())
	n.seq = n.incarnation
	n.core = core.New(f.config(n))
	n.alive, n.turning, n.tick = true, false, time.Time{}
	n.core.SetPool(f.now, core.Pool{Endpoints: 1, Limit: f.cfg.Limit})
	ctx := f.ledger.Wakeups(context.Background(), fmt.Sprintf("r%d", n.index))
	n.listen(n.core, ctx)
	n.pump()
}

// listen polls for wake-ups, at the resolution of the simulation.
func (n *node) listen(k *core.Core, wakeups <-chan struct{}) {
	n.fleet.after(200*time.Microsecond, "", func() {
		if n.core != k || !n.alive {
			return
		}
		select {
		case <-wakeups:
			k.Wake()
			n.pump()
		default:
		}
		n.listen(k, wakeups)
	})
}

// crash ends a replica without a word: its connections end with it.
func (n *node) crash() {
	n.alive = false
	for id := range n.fleet.flights {
		if id.Ingress == fmt.Sprintf("r%d", n.index) {
			delete(n.fleet.flights, id)
		}
	}
	for _, flow := range n.fleet.cfg.Flows {
		for _, at := range flow.Replicas {
			for range flow.Clients {
				if at == n.index {
					n.fleet.after(100*time.Millisecond, "client retries", func() { n.fleet.client(flow, n) })
				}
			}
		}
	}
}

// pump carries out what the core asks for.
func (n *node) pump() {
	f := n.fleet
	if !n.alive {
		return
	}
	n.core.Tick(f.now)
	ready := n.core.Ready(f.now)
	decisions := append([]core.Decision(nil), ready.Decisions...)
	if ready.Turn != nil {
		n.takeTurn(ready.Turn)
	}
	for _, d := range decisions {
		d.Tag.(func(core.Decision))(d)
	}
	if n.tick.IsZero() || ready.Next.Before(n.tick) || !n.tick.After(f.now) {
		n.tick = ready.Next
		k, at := n.core, ready.Next
		f.after(max(0, at.Sub(f.now)), "tick", func() {
			if n.core == k && n.alive && n.tick.Equal(at) {
				n.tick = time.Time{}
				n.pump()
			}
		})
	}
}

var errLost = errors.New("lost on the way")

// takeTurn takes a statement to the ledger and its reply back, unless either is
// lost.
func (n *node) takeTurn(s *store.Statement) {
	f, k := n.fleet, n.core
	done := func(reply *store.Reply, err error) {
		if n.core == k && n.alive {
			k.TurnDone(f.now, reply, err)
			n.pump()
		}
	}
	lost := func() { f.after(50*time.Millisecond, "turn times out", func() { done(nil, errLost) }) }
	requestLost, replyLost := f.rng.Float64() < f.cfg.Loss, f.rng.Float64() < f.cfg.Loss
	f.after(50*time.Microsecond+f.upTo(200*time.Microsecond), "turn", func() {
		if requestLost || f.down || !n.alive || n.core != k {
			lost()
			return
		}
		reply, err := f.ledger.Turn(context.Background(), s)
		if err != nil || replyLost {
			lost()
			return
		}
		if f.cfg.Break != nil {
			f.cfg.Break(reply)
		}
		f.after(50*time.Microsecond, "reply", func() { done(reply, nil) })
	})
}
