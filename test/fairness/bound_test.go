package fairness

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// TestBound checks the bound that docs/fairness.md derives, at a ledger whose flows
// always have offers while they are backlogged: random weights, estimates that are wrong
// in both directions, and flows that come and go.
func TestBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if broken := play(t, false); broken != "" {
			t.Fatal(broken)
		}
	})
}

// TestBoundCanBreak hides a flow's charges from the ledger and wants the check to notice.
func TestBoundCanBreak(t *testing.T) {
	histories := rapid.Custom(func(t *rapid.T) string { return play(t, true) })
	for seed := range 100 {
		if histories.Example(seed) != "" {
			return
		}
	}
	t.Error("a flow that is not charged for kept within the bound in 100 histories")
}

// request is one that was granted and has not been settled.
type request struct {
	flow           *account
	estimate, real float64 // for the flow's weight
	counter        float64 // of its flow, after the grant
}

// account is a flow with the quantities of the bound, all for its weight.
type account struct {
	id            string
	weight        float64
	steady        bool    // it is backlogged throughout
	on            bool    // it asks for more
	standing      int     // its offers
	service       float64 // charges and their corrections
	charge        float64 // m: the largest charge
	under, over   float64 // of what is in flight, what is charged too little and too much
	mostUnder     float64 // u
	mostOver      float64 // d
	backlogged    bool
	known         bool                   // to the ledger, which granted something: it began at the level before
	sinceTogether map[*account]*together // with another flow
}

// together is a time in which two flows are backlogged.
type together struct {
	span              // of the difference in their service
	newcomers [2]bool // which had been granted nothing when it began
}

type boundRun struct {
	t        *rapid.T
	free     bool // the first flow's charges are hidden from the ledger
	ledger   *memory.Ledger
	now      time.Time
	limit    int
	flows    []*account
	byTicket map[uint64]*request
	running  []*request
	ended    []*request // and not settled
	lead     float64    // of the level before virtual time, as last told
	tickets  uint64
	number   uint64
	read     uint64
	gen      uint64
	batch    uint64
}

// play draws a history, and returns how the bound was broken or nothing.
func play(t *rapid.T, free bool) string {
	r := &boundRun{t: t, free: free, now: time.Unix(1_800_000_000, 0), limit: rapid.IntRange(1, 6).Draw(t, "limit"), byTicket: make(map[uint64]*request)}
	r.ledger = memory.New(memory.Config{Clock: func() time.Time { return r.now }})
	for i := range rapid.IntRange(2, 4).Draw(t, "flows") {
		f := &account{
			id: fmt.Sprint("flow-", i), weight: float64(rapid.IntRange(1, 4).Draw(t, "weight")), steady: i == 0, on: i == 0,
			sinceTogether: make(map[*account]*together),
		}
		r.flows = append(r.flows, f)
	}
	r.turn(nil) // registers
	for range rapid.IntRange(1, 150).Draw(t, "steps") {
		if broken := r.step(); broken != "" {
			return broken
		}
	}
	return ""
}

// step ends some requests, lets flows come and go, takes a turn and checks the bound.
func (r *boundRun) step() string {
	r.now = r.now.Add(time.Millisecond)
	for range rapid.IntRange(0, len(r.running)).Draw(r.t, "ended") {
		i := rapid.IntRange(0, len(r.running)-1).Draw(r.t, "which")
		r.ended = append(r.ended, r.running[i])
		r.running = append(r.running[:i], r.running[i+1:]...)
	}
	var offers []store.Offer
	for _, f := range r.flows {
		if !f.steady && rapid.IntRange(0, 9).Draw(r.t, "turns on or off") == 0 {
			f.on = !f.on
		}
		for idle := f.standing == 0; f.on && f.standing < r.limit+1; idle = false { // more than a turn can grant
			offers = append(offers, r.offer(f, idle))
		}
	}
	r.turn(offers)
	return r.check()
}

// offer makes a request of the flow, with an estimate and what it will really cost.
func (r *boundRun) offer(f *account, idle bool) store.Offer {
	r.tickets++
	q := &request{
		flow:     f,
		estimate: float64(rapid.IntRange(1, 10).Draw(r.t, "estimate")) / f.weight,
		real:     float64(rapid.IntRange(0, 20).Draw(r.t, "real")) / f.weight,
	}
	r.byTicket[r.tickets] = q
	f.standing++
	o := store.Offer{
		Ticket: policies.TicketID{Ingress: "r", Seq: r.tickets}, Flow: f.id, Charge: q.estimate, Score: float64(r.tickets), Idle: idle,
	}
	if r.free && f == r.flows[0] {
		o.Charge = 0
	}
	return o
}

// turn states what is true and takes in what was granted.
func (r *boundRun) turn(offers []store.Offer) {
	r.number++
	s := &store.Statement{
		Replica: "r", Incarnation: 1, Number: r.number, Answered: r.number - 1, Generation: r.gen, ReadUpTo: r.read, Members: 1,
		Register: r.number == 1, Offers: offers,
		Bands: []store.Band{{Policy: "counting", CountsService: true, LiftsIdle: true, Limit: int64(r.limit), InFlight: int64(len(r.running))}},
	}
	if len(r.ended) > 0 {
		r.batch++
	}
	s.Batch = r.batch
	for _, q := range r.ended {
		delta := q.real - q.estimate
		s.Settlements = append(s.Settlements, store.Settlement{Flow: q.flow.id, Policy: "counting", Delta: delta, Counter: q.counter})
		q.flow.service += delta
		q.flow.under -= max(0, delta)
		q.flow.over -= max(0, -delta)
	}
	r.ended = nil
	reply, err := r.ledger.Turn(r.t.Context(), s)
	if err != nil || reply.Status != store.OK {
		r.t.Fatalf("turn %d: %v, %v", r.number, reply, err)
	}
	r.gen = reply.Generation
	r.lead = reply.Bands[0].Level - reply.Bands[0].VirtualTime
	for i := range reply.Messages {
		m := &reply.Messages[i]
		r.read = m.Number
		q := r.byTicket[m.Ticket.Seq]
		f := q.flow
		q.counter = m.Counter
		r.running = append(r.running, q)
		f.standing--
		f.service += q.estimate
		f.known = true
		f.charge = max(f.charge, q.estimate)
		f.under += max(0, q.real-q.estimate)
		f.over += max(0, q.estimate-q.real)
		f.mostUnder, f.mostOver = max(f.mostUnder, f.under), max(f.mostOver, f.over)
	}
}

// check compares the flows that are backlogged, pair by pair, and returns how the bound
// is broken or nothing.
func (r *boundRun) check() string {
	for _, f := range r.flows {
		f.backlogged = f.standing > 0
	}
	newcomer := r.mostLead()
	if r.lead > newcomer+1e-9 {
		return fmt.Sprintf("the level was %.3f before virtual time, the bound is %.3f", r.lead, newcomer)
	}
	for i, f := range r.flows {
		for _, g := range r.flows[:i] {
			if !f.backlogged || !g.backlogged {
				delete(f.sinceTogether, g)
				continue
			}
			apart := f.sinceTogether[g]
			if apart == nil {
				apart = &together{newcomers: [2]bool{!f.known, !g.known}}
				f.sinceTogether[g] = apart
			}
			wide := apart.take(f.service - g.service)
			bound := f.charge + f.mostUnder + f.mostOver + g.charge + g.mostUnder + g.mostOver
			for _, began := range apart.newcomers {
				if began {
					bound += newcomer
				}
			}
			if wide > bound+1e-9 {
				return fmt.Sprintf("the service of %s and %s differed by %.3f while both were backlogged, the bound is %.3f", f.id, g.id, wide, bound)
			}
		}
	}
	return ""
}

// mostLead is n of the bound: how far before virtual time a flow may begin that the ledger
// does not know.
func (r *boundRun) mostLead() float64 {
	m, u := 0.0, 0.0
	for _, f := range r.flows {
		m, u = max(m, f.charge), max(u, f.mostUnder)
	}
	return max(3*m, m+3*u)
}
