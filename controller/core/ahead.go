package core

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// ahead is the tickets here that are ahead of their requests. A ticket takes two turns from its
// ingress to a place in line. Beside a far ledger those who call again once they are answered
// would hardly ever stand there, and slots would be empty for want of tickets. So each flow of
// the band in line has tickets on their way for the requests that will have come by then: what
// comes takes the one that is furthest, and with it the place that it has. One that nobody takes
// goes back, and so does what its flow was charged for it.
//
// Whoever of a flow came later may so have a ticket that is further. When it goes, the flow's
// first that waits here goes by it, whichever ticket is its own.
//
// Invariants: a ticket ahead is in its flow's tickets, among those that wait, and in the queues or
// in line as any other; nobody waits by it and nobody hears what becomes of it. It is of a flow
// that was asked for of late, of the band whose tickets stand in line here. There are at most
// maxAhead. Of a flow that is watched, and whose band is the one in line, all requests that wait
// here are in came.
type ahead struct {
	bystander
	cfg      *Config
	exchange *exchange
	requests *requests
	waits    *waits
	handover *handover
	line     *line

	flows map[policies.FlowKey]*coming
	made  uint64    // tickets ahead of all time
	below time.Time // when anything of a lower band last waited in the fleet, as far as is known
}

const (
	// aheadTurns is for what comes in how many turns a flow has tickets ahead: two that they
	// are on their way, and one in line.
	aheadTurns = 3
	// neededBelow is for how many turns requests must wait for lines to be filled without any.
	neededBelow = 1.5
	// maxAhead is how many there are at most at a replica, and how many flows are watched.
	maxAhead = 256
	// aheadAfter is how many requests of a flow come before any are expected: ids that are
	// used once are not.
	aheadAfter = 2
	// firstAhead sets the tickets ahead apart from the requests, which a replica numbers by
	// the nanoseconds of when it started.
	firstAhead = 1 << 63
)

// coming is the requests of a flow that come in here.
type coming struct {
	rate    rate
	seen    int          // so many came
	last    shard.Ticket // of the last of them
	ttl     time.Duration
	at      time.Time
	came    heap.Heap[*request] // those that wait here, who goes first on top
	tickets list.List[*request] // ahead of those that will come, the first that were made in front
	len     int

	// What the flow's counter was when a ticket of it last came to stand in line, of what group,
	// and what that was charged; 0 where none did while requests of it waited.
	group           string
	counter, charge float64
}

func newAhead(c *Core) ahead {
	return ahead{
		cfg: &c.cfg, exchange: &c.exchange, requests: &c.requests, waits: &c.waits, handover: &c.handover, line: &c.line,
		flows: make(map[policies.FlowKey]*coming),
	}
}

// takes notes that a request came, and reports whether it took a ticket that was ahead of it.
func (a *ahead) takes(now time.Time, r *request) bool {
	if !a.fits(now) {
		a.clear(now)
		return false
	}
	if !a.suits(r) {
		return false
	}
	f := a.flows[r.Flow]
	if f == nil {
		if len(a.flows) >= maxAhead {
			return false
		}
		f = a.watch(now, r.Flow)
	}
	f.seen++
	f.rate.arrivals++
	f.last, f.ttl, f.at = r.Ticket, r.ttl, now
	r.mayWait(a.waits.budget(r))
	t := f.furthest()
	if t == nil || !t.inLine() && a.cfg.Shard.Before(&r.Ticket, &t.Ticket) { // its own will be further
		f.enter(r)
		return false
	}
	f.leave(t)
	a.requests.hand(t, r)
	f.enter(t)
	a.waits.budgeted(t)
	a.handover.came(t)
	return true
}

// suits reports whether a request is of those that have tickets ahead of them: those that may
// stand in line, of the band that does. Who shares a flow takes turns in it.
func (a *ahead) suits(r *request) bool {
	return !r.limited && r.Sharer == "" && r.Flow.Priority == a.line.band && !a.cfg.Shard.CountsAround(r.Flow)
}

// watch begins to expect requests of a flow. There may be some that wait already.
func (a *ahead) watch(now time.Time, key policies.FlowKey) *coming {
	f := &coming{rate: rate{at: now}}
	f.came.Init(func(x, y *request) bool { return a.cfg.Shard.Before(&x.Ticket, &y.Ticket) }, func(r *request) *int { return &r.cameIndex })
	for r := range a.requests.came.All() {
		if r.Flow == key && !r.ahead() && a.suits(r) {
			f.enter(r)
		}
	}
	a.flows[key] = f
	return f
}

// fits reports whether tickets go ahead: at a full pool whose ledger is far, and whose requests
// stand in line here. Where lower bands wait, they fill the slots that this one leaves, and
// would not if its tickets stood before them without requests.
func (a *ahead) fits(now time.Time) bool {
	e, kept := a.exchange, a.kept()
	return a.line.far() && a.line.wants(now) > 0 && now.Sub(a.line.stood) < kept && now.Sub(a.below) > kept && !e.outage && !e.register.raised && !a.handover.fleet.leaving
}

// kept is how long a ticket is ahead at most, and for how long requests are expected of a flow
// that none came of.
func (a *ahead) kept() time.Duration { return 2*aheadTurns*a.line.pace() + time.Second }

// refill has as many tickets ahead as requests are expected until they will be in line.
func (a *ahead) refill(now time.Time) {
	if !a.fits(now) {
		a.clear(now)
		return
	}
	kept := a.kept()
	for _, key := range a.inOrder() {
		f := a.flows[key]
		gone := now.Sub(f.at) > kept || key.Priority != a.line.band
		for t := range f.tickets.All() {
			if gone || now.Sub(t.arrived) > kept {
				a.takeBack(now, t)
			}
		}
		if gone {
			a.forget(key)
		}
	}
	short := a.inOrder()
	for len(short) > 0 { // one each, so that none has all that there may be
		short = slices.DeleteFunc(short, func(key policies.FlowKey) bool {
			f := a.flows[key]
			before := f.len
			if a.requests.ahead >= maxAhead || f.seen < aheadAfter || before >= a.expected(now, f) {
				return true
			}
			a.send(now, f)
			return f.len == before // there was no room for it
		})
	}
}

// expected is how many requests of a flow come until a ticket that goes now will be in line, and one:
// as many as do at its pace, and those by which it is behind others, as far as each that waits here
// may take one in each of the turns until then. By its pace alone it would never catch up where all of
// its tickets are in line: slots go where lines are long.
func (a *ahead) expected(now time.Time, f *coming) int {
	n := 1 + int(math.Ceil(f.rate.perSecond(now)*aheadTurns*a.line.pace().Seconds()))
	return n + int(min(a.behind(f), float64(aheadTurns*f.came.Len())))
}

// behind is by how many requests a flow is behind those that were served most, as far as is known.
func (a *ahead) behind(f *coming) float64 {
	if f.charge == 0 {
		return 0
	}
	v := a.handover.queues.set.VirtualTime(f.last.Flow.Priority, f.group)
	return max(0, v-f.counter) / f.charge
}

// lined notes that a ticket of the flow came to stand in line, as the message says.
func (f *coming) lined(m *store.Message) { f.group, f.counter, f.charge = m.Group, m.Counter, m.Charge }

// send has a ticket go ahead of a flow's next request, which is expected to be as the last.
func (a *ahead) send(now time.Time, f *coming) {
	a.made++
	t := &request{
		Ticket: shard.Ticket{
			ID: a.requests.own(firstAhead | (a.cfg.Incarnation + a.made)), Flow: f.last.Flow, Bytes: f.last.Bytes,
			InputTokens: f.last.InputTokens, OutputTokens: f.last.OutputTokens, Arrival: a.exchange.clock.at(now), Ahead: true,
		},
		arrived: now, ttl: f.ttl,
	}
	t.TargetTTFT, t.ExpectedHold = f.last.TargetTTFT, f.last.ExpectedHold
	f.enter(t)
	a.requests.wait(t, 0)
	t.mayWait(a.waits.budget(t))
	a.handover.enter(now, t)
}

// takeBack ends a ticket ahead, wherever it is.
func (a *ahead) takeBack(now time.Time, t *request) { a.waits.evict(now, t, EvictedOther, nil) }

// inOrder is the flows that requests are expected of, in an order that is the same every time.
func (a *ahead) inOrder() []policies.FlowKey {
	return slices.SortedFunc(maps.Keys(a.flows), func(x, y policies.FlowKey) int {
		return cmp.Or(cmp.Compare(x.Priority, y.Priority), cmp.Compare(x.ID, y.ID))
	})
}

// clear takes all back.
func (a *ahead) clear(now time.Time) {
	if len(a.flows) == 0 {
		return
	}
	for _, key := range a.inOrder() {
		for t := range a.flows[key].tickets.All() {
			a.takeBack(now, t)
		}
		a.forget(key)
	}
}

// forget expects no more requests of a flow, which has no tickets ahead.
func (a *ahead) forget(key policies.FlowKey) {
	for _, r := range slices.Clone(a.flows[key].came.Items()) {
		a.flows[key].leave(r)
	}
	delete(a.flows, key)
}

// furthest is the first of the tickets that stands in line, or else the first; nil for none.
func (f *coming) furthest() *request {
	for t := range f.tickets.All() {
		if t.inLine() {
			return t
		}
	}
	t, _ := f.tickets.Front()
	return t
}

// enter notes a request that waits here, or a ticket that is ahead of one.
func (f *coming) enter(r *request) {
	r.coming = f
	if !r.ahead() {
		f.came.Push(r)
		return
	}
	r.aheadNode.Value = r
	f.tickets.PushBack(&r.aheadNode)
	f.len++
}

// leave notes that it does so no longer.
func (f *coming) leave(r *request) {
	r.coming = nil
	if !r.ahead() {
		if f.came.Remove(r); f.came.Len() == 0 { // it may be lifted
			f.charge = 0
		}
		return
	}
	r.aheadNode.Remove()
	f.len--
}

// The tickets ahead are a participant: in an outage there are none.

func (a *ahead) learn(now time.Time, _ *store.Statement, r *store.Reply) {
	if r.Queued > 0 && r.Lowest < a.line.band && !a.needed(r) {
		a.below = now
	}
}

// needed reports whether a band that a lower one waits beside should have tickets ahead all the same: it
// wants all that the pool takes, so that there is nothing for the lower one, and so few of it wait that
// lines would be empty.
func (a *ahead) needed(r *store.Reply) bool {
	if !r.MayPass || r.PassAbove != a.line.band {
		return false
	}
	for i := range r.Bands {
		if b := &r.Bands[i]; b.Priority == a.line.band {
			return float64(b.Queued) < neededBelow*float64(a.line.pace())/float64(a.line.took.typical)*float64(b.Limit)
		}
	}
	return false
}

func (a *ahead) lost(now time.Time) { a.clear(now) }
