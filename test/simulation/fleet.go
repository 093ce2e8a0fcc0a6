package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
)

// fleet is a run under way.
type fleet struct {
	cfg         Config
	rng         *rand.Rand
	began       time.Time
	now         time.Time
	events      agenda
	ledger      Ledger
	recording   bool
	history     []applied
	replaying   time.Time
	ledgerAhead time.Duration     // by which its clock is wrong
	busy        time.Time         // until when the ledger is
	holders     map[string]uint64 // the runs of replicas whose leases were attested to the ledger
	strangers   int               // that gossip

	tenants []*tenant
	counts  *counts
	nodes   []*node
	byID    map[string]*node
	cut     map[link]bool

	down        bool  // no replica can reach the ledger
	cutOff      int   // replicas that cannot reach it while others can
	healed      int   // replicas that could not and can again
	before      int64 // requests in flight when that began
	dead        int   // replicas that are down or paused
	astray      int   // replicas that do not reach all endpoints
	drained     map[string]bool
	longest     time.Duration // that a request may wait
	faulty      time.Time
	disturbed   time.Time
	repaid      time.Time // when flows have been given what they missed
	rolledBack  time.Time
	severed     bool          // messages were lost between two replicas for a while
	longestHeld time.Duration // for how long a replica said nothing of its slots
	measured    time.Time     // since when classes' slots are compared, where messages are lost

	flights map[policies.TicketID]flight // at the model servers
	unknown map[policies.TicketID]bool   // those that a wiped ledger has not been told of
	forced  map[forced]int64             // those that had to go where they are, or others that are there in their place
	decided map[policies.TicketID]core.Outcome
	failed  error

	fresh int                          // ids that were made up
	fair  float64                      // grants to one flow of those that waited, each time
	had   map[policies.FlowKey]float64 // grants to those that always wait

	used                             time.Duration // of the slots' time, since the fleet had started
	peak, turns, moves, movedTickets int
	revoked, lightGrants             int
	permits                          int64 // seen, added up
	gapSeen, lackSeen                float64
	aheadSeen                        float64   // the most slot-seconds that one priority was ahead of another, of what may be
	wiped                            time.Time // when the ledger forgot everything
	waits                            []time.Duration
	idleSince                        time.Time // capacity has been free since, while tickets wait
	unevenSince                      time.Time // one endpoint has had many more requests than another since
	looked                           time.Time
	log                              []string
}

// flight is a request at a model server.
type flight struct {
	endpoint string
	tenant   *tenant
	began    time.Time
	alone    bool   // it went by the share that its replica has without the ledger
	ends     func() // once
}

// after plans an event; those with a name are listed when the run fails.
func (f *fleet) after(d time.Duration, what string, do func()) {
	f.events.plan(f.now.Add(d).Sub(f.began), what, do)
}

// Run runs the simulation and returns the first invariant that was broken.
func Run(cfg Config) (*Result, error) {
	start := time.Unix(1_800_000_000, 0)
	f := &fleet{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0)), began: start, now: start,
		byID: make(map[string]*node), cut: make(map[link]bool),
		holders: make(map[string]uint64), flights: make(map[policies.TicketID]flight), unknown: make(map[policies.TicketID]bool), decided: make(map[policies.TicketID]core.Outcome),
		forced: make(map[forced]int64), drained: make(map[string]bool), longest: cfg.longestWait(),
	}
	f.counts = newCounts(&f.cfg)
	f.ledger = f.newLedger()
	f.cfg.Flows = slices.Clone(cfg.Flows) // which a reload changes
	for i := range cfg.Replicas {
		n := &node{fleet: f, index: i, id: nodeID(i), reach: f.cfg.endpoints()}
		if some := cfg.Reach[i]; some != nil {
			n.reach = some
			f.astray++
		}
		if cfg.Drift {
			n.offset, n.drift = f.upTo(4*time.Second)-2*time.Second, (f.rng.Float64()-0.5)/50
		}
		f.nodes = append(f.nodes, n)
		f.byID[n.id] = n
	}
	for _, n := range f.nodes {
		n.start()
	}
	for _, flow := range cfg.Flows {
		t := f.counts.tenant(flow)
		t.light = flow.Light && !flow.Tide
		f.tenants = append(f.tenants, t)
		for _, at := range flow.Replicas {
			for range flow.Clients {
				f.after(f.upTo(20*time.Millisecond), "", func() { f.client(t, f.nodes[at]) })
			}
		}
	}
	f.had = make(map[policies.FlowKey]float64)
	if cfg.Fresh > 0 {
		f.after(warm, "", f.freshID)
	}
	for _, x := range cfg.Faults {
		f.plan(x)
	}
	for {
		e, ok := f.events.next(cfg.Length)
		if !ok {
			break
		}
		at := start.Add(e.at)
		f.accountGuarantees(at)
		f.accountWeights(at)
		f.counts.accountTime(at.Sub(f.now))
		if f.now.Sub(f.began) >= warm {
			f.used += time.Duration(len(f.flights)) * at.Sub(f.now)
		}
		f.now = at
		if e.what != "" {
			f.log = append(f.log, fmt.Sprintf("%v %s", f.now.Sub(start), e.what))
		}
		e.do()
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("seed %d after %v: %w\nevents:\n  %s", cfg.Seed, f.now.Sub(start), err, strings.Join(f.log, "\n  "))
		}
	}
	return f.result()
}

func (f *fleet) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(f.rng.Int64N(int64(d)))
}

// client keeps one request going for a flow at a replica.
func (f *fleet) client(t *tenant, n *node) {
	if !n.alive {
		f.after(100*time.Millisecond, "", func() { f.client(t, n) })
		return
	}
	k := n.core
	n.do(k, func() { f.request(t, n) })
}

func (f *fleet) request(t *tenant, n *node) {
	n.seq++
	id := policies.TicketID{Ingress: n.id, Seq: n.seq}
	k := n.core
	n.waiting[id.Seq] = waitingSince{f.now, t}
	t.crowd.waiting[n.index]++
	q := core.Request{
		Seq: n.seq, Flow: t.key, Bytes: 100, InputTokens: 10, OutputTokens: 10,
		Tag: func(d core.Decision) { f.outcome(t, n, id, d) },
	}
	if f.cfg.Bounded && n.seq%2 == 0 {
		q.Prefer = n.favourite()
	}
	if f.cfg.Break.Request != nil {
		f.cfg.Break.Request(&q)
	}
	k.Enqueue(n.now(), q)
	if f.rng.Float64() < f.cfg.Cancel {
		f.after(f.upTo(time.Second), "", func() {
			n.do(k, func() {
				k.Cancel(n.now(), id.Seq, core.EvictedContextCancelled, nil)
				n.pump()
			})
		})
	}
	n.pump()
}

// lightRest is how long clients of Light flows rest, on average.
const lightRest = 200 * time.Millisecond

// outcome is called when a request's wait ended: a dispatched one runs for a
// while at a model server, then the client comes again.
func (f *fleet) outcome(t *tenant, n *node, id policies.TicketID, d core.Decision) {
	if f.cfg.Break.Decision != nil && f.cfg.Break.Decision(&d) {
		f.decide(id, d.Outcome)
	}
	f.decide(id, d.Outcome)
	if since, ok := n.waiting[id.Seq]; ok {
		f.waited(t, f.now.Sub(since.at))
		delete(n.waiting, id.Seq)
		t.crowd.waiting[n.index]--
	}
	k := n.core
	rest := f.upTo(2 * time.Millisecond)
	switch {
	case t.flow.Tide:
		rest = f.ebb()
	case t.flow.Light:
		rest = lightRest/2 + f.upTo(lightRest)
	}
	again := func() {
		if n.core == k && !t.flow.Once { // else its replica died, and the client came again then
			f.client(t, n)
		}
	}
	if d.Outcome != core.Dispatched {
		f.after(f.upTo(10*time.Millisecond), "", again)
		return
	}
	alone := k.LedgerState() == core.Outage
	if d.ByFloat || alone {
		n.checkReach(&d)
	}
	ends := func() {
		if _, running := f.flights[id]; !running {
			return // its replica died, and with it its connection
		}
		f.land(id)
		n.do(k, func() {
			k.Release(n.now(), id.Seq, core.Usage{})
			n.pump()
		})
		f.after(rest, "", again)
	}
	if t.light {
		f.lightGrants++
	}
	f.fly(id, flight{n.place(id.Seq, &d), t, f.now, alone, ends})
	f.shared(t)
	f.counts.serve(t)
	f.after(f.takes(t), "", ends)
}

// revoke ends a request in flight for the sake of others, unless it just ended.
func (f *fleet) revoke(id policies.TicketID) {
	if x, running := f.flights[id]; running {
		f.revoked++
		f.after(time.Millisecond, "", x.ends)
	}
}

// takes is how long a request does at a model server.
func (f *fleet) takes(t *tenant) time.Duration {
	return time.Duration(max(1, t.flow.Longer) * float64(f.cfg.Service*2/5+f.upTo(f.cfg.Service*6/5)))
}

// fly has a request be at a model server.
func (f *fleet) fly(id policies.TicketID, x flight) {
	f.flights[id] = x
	f.counts.flies(x, 1)
}

// land has it be there no longer.
func (f *fleet) land(id policies.TicketID) {
	x := f.flights[id]
	if at := (forced{f.byID[id.Ingress].index, x.endpoint}); f.forced[at] > 0 {
		f.forced[at]--
	}
	f.counts.flies(x, -1)
	delete(f.flights, id)
}

// ebb is how long it is until the tide is in; nothing while it is.
func (f *fleet) ebb() time.Duration {
	if passed := f.now.Sub(f.began) % (2 * time.Second); passed >= time.Second {
		return 2*time.Second - passed
	}
	return 0
}

func (f *fleet) decide(id policies.TicketID, outcome core.Outcome) {
	if before, twice := f.decided[id]; twice {
		if before == core.Dispatched && outcome == core.Dispatched {
			f.fail("double dispatch", "ticket %v was dispatched twice", id)
		}
		f.fail("one outcome", "ticket %v was decided twice: %v, then %v", id, before, outcome)
	}
	f.decided[id] = outcome
}

// fail notes the first broken invariant.
func (f *fleet) fail(invariant, format string, args ...any) {
	if f.failed == nil {
		f.failed = fmt.Errorf("%w: %s: %s", ErrInvariant, invariant, fmt.Sprintf(format, args...))
	}
}

// percentile returns a percentile of the waits.
func percentile(waits []time.Duration, p int) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(waits))
	return sorted[(len(sorted)-1)*p/100]
}
